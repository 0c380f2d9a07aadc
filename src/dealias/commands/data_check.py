# SPDX-License-Identifier: Apache-2.0
"""``dealias data check``: what a data set holds, and which of its files and annotations are bad."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .evaluate import add_classes, add_execution

if TYPE_CHECKING:
    from rich.console import Console

    from dealias.evaluation import DatasetFolders, ObjectFolders, Problem
    from dealias.evaluation.presets import Preset

_DESCRIPTION = """\
Read every image and label map of a data set once: sizes, modes, how frequent classes are, ids that are no class, and
every file that cannot be used with the reason. The exit code is 1 if there is such a file. Of a data set of objects,
read every image and annotation: objects by class and size, crowd regions, images without objects, and every file or
annotation that cannot be used.

Images and label maps are those of Cityscapes, ADE20K or PASCAL VOC 2012, and objects those of COCO (instances and
panoptic segments, as far as their images are there) or LIS, if ROOT is one of these, or holds it. Other objects in
COCO's formats are given by --annotations and --images. Otherwise, images and label maps are those in ROOT/images and
ROOT/labels (or ROOT/annotations), in any sub-folders such as train and val, paired by their paths without ending and
suffix, and --classes or --preset camvid is needed."""

OBJECT_PRESETS = ("coco", "lis")
PRESETS = ("camvid", "cityscapes", "ade20k", "voc2012", *OBJECT_PRESETS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("root", metavar="ROOT", type=Path, help="folder of the data set")
    classes = parser.add_mutually_exclusive_group()
    add_classes(classes, required=False)
    text = "classes, ignored ids and files of a known data set (default: what is recognised)"
    classes.add_argument("--preset", choices=PRESETS, help=text)
    text = "ids that label maps may hold beside the classes (default: 255, or those of the preset)"
    parser.add_argument("--ignore", metavar="ID,...", help=text)
    files = parser.add_argument_group("files")
    text = "folder of images, below ROOT or else as given; needs --labels or --annotations"
    files.add_argument("--images", metavar="DIR", type=Path, help=text)
    files.add_argument("--labels", metavar="DIR", type=Path, help="folder of label maps, likewise")
    text = "text file with one name or relative image path per line, likewise (default: all files)"
    files.add_argument("--list", metavar="FILE", type=Path, help=text)
    text = "what names of images have before the ending; files without it are passed over"
    files.add_argument("--image-suffix", metavar="TEXT", default="", help=text)
    files.add_argument("--label-suffix", metavar="TEXT", default="", help="likewise for label maps")
    objects = parser.add_argument_group("objects")
    text = "JSON file of instances or panoptic segments in COCO's format, below ROOT or else as given; needs --images"
    objects.add_argument("--annotations", metavar="FILE", type=Path, help=text)
    text = "folder of the PNG files of panoptic segments, likewise (default: FILE without its ending)"
    objects.add_argument("--segments", metavar="DIR", type=Path, help=text)
    add_execution(files, "folder for data_check.json, problems.txt and problems.json (default: none)")


def run(args: argparse.Namespace) -> int:
    """Check as the arguments say; the exit code."""
    from rich.console import Console

    console, errors = Console(), Console(stderr=True)
    objects = _objects(args)
    return _check_objects(args, objects, console, errors) if objects else _check_labels(args, console, errors)


def _check_labels(args: argparse.Namespace, console: Console, errors: Console) -> int:
    from dealias._files import write_json
    from dealias.evaluation import check_dataset
    from dealias.evaluation.console import progress_bar, write_problems
    from dealias.evaluation.inventory_tables import inventory_dict, inventory_tables

    parts, classes, ignored = _what_to_check(args)
    with progress_bar(errors, "pairs") as move:
        inventory = check_dataset(parts, classes, ignored, args.workers, move)
    if args.out is not None:
        write_problems(args.out, inventory.problems)
        write_json(args.out / "data_check.json", inventory_dict(inventory))
    for table in inventory_tables(inventory):
        console.print(table)
    good, bad = f"All {len(inventory.names)} pairs can be used", f"{inventory.bad_files} bad files"
    return _conclude(args, inventory.problems, good, bad, console, errors)


def _check_objects(args: argparse.Namespace, parts: Sequence[ObjectFolders], console: Console, errors: Console) -> int:
    from dealias._files import write_json
    from dealias.evaluation import check_objects
    from dealias.evaluation.console import progress_bar, write_problems
    from dealias.evaluation.object_tables import all_problems, objects_dict, objects_tables

    with progress_bar(errors, "images") as move:
        inventories = check_objects(parts, args.workers, move)
    problems = all_problems(inventories)
    if args.out is not None:
        write_problems(args.out, problems)
        write_json(args.out / "data_check.json", objects_dict(inventories))
    for inventory in inventories:
        for table in objects_tables(inventory):
            console.print(table)
    images, files = sum(inventory.images for inventory in inventories), len({problem.file for problem in problems})
    good, bad = f"All {images} images and their annotations can be used", f"{len(problems)} problems in {files} files"
    return _conclude(args, problems, good, bad, console, errors)


def _conclude(
    args: argparse.Namespace, problems: Sequence[Problem], good: str, bad: str, console: Console, errors: Console
) -> int:
    """Say whether everything can be used; the exit code."""
    from dealias.evaluation.console import say, show_problems

    if not problems:
        say(console, good, "green")
        return 0
    show_problems(errors, problems, args.out)
    say(errors, f"dealias data check: {bad}", "bold red")
    return 1


def _objects(args: argparse.Namespace) -> list[ObjectFolders]:
    """Annotations of objects that are given or recognised; none if label maps are to be checked."""
    from dealias.evaluation import ObjectFolders
    from dealias.evaluation.dataset_folders import below
    from dealias.evaluation.object_folders import OBJECT_SETS, recognise_objects

    if args.annotations is not None:
        if args.images is None:
            raise ValueError("--annotations needs --images, the folder of the images")
        if any((args.classes, args.preset, args.labels, args.list)):
            raise ValueError("--annotations says all of the objects; --classes, --preset, --labels and --list do not")
        segments = None if args.segments is None else below(args.root, args.segments)
        files = below(args.root, args.images), below(args.root, args.annotations), segments
        return [ObjectFolders(*files, split=args.annotations.stem)]
    if args.preset in OBJECT_PRESETS:
        return OBJECT_SETS[args.preset](args.root)
    given = args.classes, args.preset, args.images, args.labels, args.list
    return recognise_objects(args.root) if all(value is None for value in given) else []


def _what_to_check(args: argparse.Namespace) -> tuple[list[DatasetFolders], tuple[str, ...], tuple[int, ...]]:
    """The data set's parts, names of its classes, and the ids that are allowed beside them."""
    from dealias.evaluation.options import parse_classes, parse_ids

    ignored: tuple[int, ...] = (255,)
    parts: list[DatasetFolders] = []
    if args.classes is not None:
        classes = parse_classes(args.classes)
    else:
        preset = _preset(args.root, args.preset)
        classes, ignored, parts = preset.classes, preset.ignored, preset.find(args.root)
    if parts and any((args.images, args.labels, args.list)):
        raise ValueError("this data set's files are known; for other folders or lists give --classes")
    return parts or [_folders(args)], classes, ignored if args.ignore is None else parse_ids(args.ignore)


def _preset(root: Path, name: str | None) -> Preset:
    from dealias.evaluation.presets import PRESETS, recognise

    name = name or recognise(root)
    if name is None:
        raise ValueError(f"{root}: none of the data sets that are recognised; give --classes or --preset")
    return PRESETS[name]


def _folders(args: argparse.Namespace) -> DatasetFolders:
    from dealias.evaluation import DatasetFolders, find_folders
    from dealias.evaluation.dataset_folders import below

    list_file = None if args.list is None else below(args.root, args.list)
    places = find_folders(args.root, args.images, args.labels)
    return DatasetFolders(*places, args.image_suffix, args.label_suffix, list_file)
