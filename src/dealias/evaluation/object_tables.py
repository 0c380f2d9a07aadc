# SPDX-License-Identifier: Apache-2.0
"""What a data set of objects holds, for the terminal and as JSON.

The JSON file is one object::

    format          "dealias data check of objects"
    version         1: of this layout
    sets            list, one for all annotation files of a kind with the same classes:
      kind          "instances" or "panoptic"
      files         the annotation files
      images        number of images
      splits        images by part
      sizes         images by size, as "480x360" (width x height)
      objects       number of things, crowd regions left out
      areas         those that are "small" (below 32 x 32 pixels), "medium" (below 96 x 96) and "large"
      oddities      what is no error: by name, how often
      classes       list of {id, name, thing, objects (of stuff, segments), files (images that have it)}
    problems        list of {file, reason}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from .inventory_tables import counts_text, sizes_text
from .object_inventory import ObjectInventory
from .problems import Problem
from .tables import Rows, percent, to_table

AREAS = ("small", "medium", "large")


def objects_dict(inventories: Sequence[ObjectInventory]) -> dict[str, Any]:
    """The object in the file."""
    return {
        "format": "dealias data check of objects",
        "version": 1,
        "sets": [_set_dict(inventory) for inventory in inventories],
        "problems": [problem._asdict() for problem in all_problems(inventories)],
    }


def all_problems(inventories: Sequence[ObjectInventory]) -> list[Problem]:
    """All files and annotations that cannot be used."""
    return [problem for inventory in inventories for problem in inventory.contents.problems]


def objects_tables(inventory: ObjectInventory) -> list[Table]:
    """Tables of the data set and of its classes."""
    contents, things = inventory.contents, _things(inventory)
    sizes = [f"{name}: {contents.areas[name]} ({percent(contents.areas[name] / max(1, things))} %)" for name in AREAS]
    overview = [
        ["what", "found"],
        ["annotations", ", ".join(map(str, inventory.files))],
        ["images", counts_text(inventory.splits)],
        ["image sizes", sizes_text(contents.sizes)],
        ["objects", f"{things}, {things / max(1, inventory.images):.1f} per image"],
        ["sizes of objects", ", ".join(sizes)],
    ]
    overview += [[name, str(count)] for name, count in sorted(contents.oddities.items()) if count]
    classes: Rows = [["id", "class", *(["kind"] if inventory.panoptic else []), "objects", "images"]]
    for label, (name, thing) in enumerate(zip(inventory.classes, inventory.is_thing, strict=True)):
        kind = ["thing" if thing else "stuff"] if inventory.panoptic else []
        classes.append([str(label), name, *kind, str(contents.objects[label]), str(contents.files[label])])
    return [to_table(overview, f"Data set of {_kind(inventory)}"), to_table(classes, "Classes")]


def _set_dict(inventory: ObjectInventory) -> dict[str, Any]:
    contents = inventory.contents
    return {
        "kind": _kind(inventory),
        "files": [str(file) for file in inventory.files],
        "images": inventory.images,
        "splits": dict(sorted(inventory.splits.items())),
        "sizes": dict(contents.sizes.most_common()),
        "objects": _things(inventory),
        "areas": {name: contents.areas[name] for name in AREAS},
        "oddities": {name: count for name, count in sorted(contents.oddities.items()) if count},
        "classes": [
            {
                "id": label,
                "name": name,
                "thing": thing,
                "objects": contents.objects[label],
                "files": contents.files[label],
            }
            for label, (name, thing) in enumerate(zip(inventory.classes, inventory.is_thing, strict=True))
        ],
    }


def _kind(inventory: ObjectInventory) -> str:
    return "panoptic" if inventory.panoptic else "instances"


def _things(inventory: ObjectInventory) -> int:
    return sum(inventory.contents.objects[label] for label, thing in enumerate(inventory.is_thing) if thing)
