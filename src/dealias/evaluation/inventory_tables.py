# SPDX-License-Identifier: Apache-2.0
"""What a data set holds, for the terminal and as JSON.

The JSON file is one object::

    format          "dealias data check"
    version         1: of this layout
    images, labels  the folders, or those above them if there are several; list: the list file or null
    pairs           number of pairs of image and label map
    bad_files       number of files with problems
    splits          pairs by sub-folder
    sizes           images by size, as "480x360" (width x height)
    image_modes     images by Pillow mode; label_modes: label maps likewise
    classes         list of {id, name, pixels, share (of class pixels), files (label maps that have it)}
    other_ids       list of {id (in the files), ignored (true: allowed), pixels, files, example (a label map with it)}
    repeated_stems  sub-folders by file name, of names that are in several
    problems        list of {file, reason}
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from rich.table import Table

from .inventory import Inventory
from .tables import Rows, percent, to_table

_SHOWN_SIZES = 5


def inventory_dict(inventory: Inventory) -> dict[str, Any]:
    """The object in the file."""
    contents, parts = inventory.contents, inventory.parts
    shares = class_shares(inventory)
    return {
        "format": "dealias data check",
        "version": 1,
        "images": os.path.commonpath([part.images for part in parts]),
        "labels": os.path.commonpath([part.labels for part in parts]),
        "list": str(parts[0].list_file) if len(parts) == 1 and parts[0].list_file is not None else None,
        "pairs": len(inventory.names),
        "bad_files": inventory.bad_files,
        "splits": dict(sorted(inventory.splits.items())),
        "sizes": dict(contents.sizes.most_common()),
        "image_modes": dict(contents.image_modes.most_common()),
        "label_modes": dict(contents.label_modes.most_common()),
        "classes": [
            {
                "id": label,
                "name": name,
                "pixels": contents.pixels[label],
                "share": shares[label],
                "files": contents.files[label],
            }
            for label, name in enumerate(inventory.classes)
        ],
        "other_ids": [
            {
                "id": label,
                "ignored": label in inventory.allowed,
                "pixels": contents.others[label],
                "files": contents.other_files[label],
                "example": contents.examples[label],
            }
            for label in sorted(contents.others)
        ],
        "repeated_stems": inventory.repeated_stems,
        "problems": [problem._asdict() for problem in inventory.problems],
    }


def class_shares(inventory: Inventory) -> list[float]:
    """Share of the class pixels that each class has."""
    pixels = [inventory.contents.pixels[label] for label in range(len(inventory.classes))]
    return [count / max(1, sum(pixels)) for count in pixels]


def inventory_tables(inventory: Inventory) -> list[Table]:
    """Tables of the data set, of its classes, and of other ids."""
    contents = inventory.contents
    files = len(inventory.names)
    overview = [
        ["what", "found"],
        ["pairs", str(files)],
        ["splits", counts_text(inventory.splits)],
        ["image sizes", sizes_text(contents.sizes)],
        ["image modes", counts_text(contents.image_modes)],
        ["label modes", counts_text(contents.label_modes)],
    ]
    repeated = inventory.repeated_stems
    if repeated:
        stem, folders = next(iter(repeated.items()))
        text = f"{len(repeated)} file names are in several sub-folders, such as {stem} in {', '.join(folders)}"
        overview.append(["repeated", text])
    classes: Rows = [["id", "class", "% of pixels", "label maps"]]
    for label, (name, share) in enumerate(zip(inventory.classes, class_shares(inventory), strict=True)):
        classes.append([str(label), name, percent(share), str(contents.files[label])])
    tables = [to_table(overview, "Data set"), to_table(classes, "Classes")]
    others: Rows = [["id", "", "pixels", "label maps", "such as"]]
    for label, pixels in sorted(contents.others.items()):
        kind = "ignored" if label in inventory.allowed else "UNKNOWN"
        others.append([str(label), kind, str(pixels), str(contents.other_files[label]), contents.examples[label]])
    return [*tables, to_table(others, "Other ids")] if len(others) > 1 else tables


def counts_text(counter: Counter[str]) -> str:
    """How often each name comes."""
    return ", ".join(f"{name}: {count}" for name, count in sorted(counter.items()))


def sizes_text(sizes: Counter[str]) -> str:
    """The most frequent sizes, and the range of all."""
    common = ", ".join(f"{size}: {count}" for size, count in sizes.most_common(_SHOWN_SIZES))
    if len(sizes) <= _SHOWN_SIZES:
        return common
    sides = [tuple(map(int, size.split("x"))) for size in sizes]
    (narrow, wide), (low, high) = ((min(side), max(side)) for side in zip(*sides, strict=True))
    return f"{common}, ...; {len(sizes)} sizes, {narrow}..{wide} wide, {low}..{high} high"
