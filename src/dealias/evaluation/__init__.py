# SPDX-License-Identifier: Apache-2.0
"""Score label files of any tool, and check data sets: many files in parallel, every bad one listed with its reason.

Names are imported when they are first used: checking a data set must not load the metrics.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dealias.evaluation.dataset_folders import DatasetFolders, find_folders
    from dealias.evaluation.inventory import Inventory, check_dataset
    from dealias.evaluation.object_folders import ObjectFolders
    from dealias.evaluation.object_inventory import ObjectInventory, check_objects
    from dealias.evaluation.options import parse_classes, parse_label_map
    from dealias.evaluation.problems import BadFilesError, Problem
    from dealias.evaluation.result import Evaluation
    from dealias.evaluation.run import LabelFolders, evaluate_folders
    from dealias.evaluation.scoring import Scoring

__all__ = [
    "BadFilesError",
    "DatasetFolders",
    "Evaluation",
    "Inventory",
    "LabelFolders",
    "ObjectFolders",
    "ObjectInventory",
    "Problem",
    "Scoring",
    "check_dataset",
    "check_objects",
    "evaluate_folders",
    "find_folders",
    "parse_classes",
    "parse_label_map",
]

_MODULES = {
    "dataset_folders": ("DatasetFolders", "find_folders"),
    "inventory": ("Inventory", "check_dataset"),
    "object_folders": ("ObjectFolders",),
    "object_inventory": ("ObjectInventory", "check_objects"),
    "options": ("parse_classes", "parse_label_map"),
    "problems": ("BadFilesError", "Problem"),
    "result": ("Evaluation",),
    "run": ("LabelFolders", "evaluate_folders"),
    "scoring": ("Scoring",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
