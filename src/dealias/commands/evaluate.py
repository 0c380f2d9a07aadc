# SPDX-License-Identifier: Apache-2.0
"""``dealias evaluate``: score label files of any tool."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from dealias.evaluation import Evaluation

_DESCRIPTION = """\
Score predicted label maps against ground truth: mIoU and accuracies, the errors near edges (FErr, MErr, DErr, BIoU,
BAcc) and Boundary IoU, of all images together, of each class and of each image.

Label maps are PNG or TIFF files with one channel of class ids (8 or 16 bits, or a palette, whose indices are the ids).
Files are paired by their paths below PRED_DIR and GT_DIR, without ending and suffix.

All files are checked. If any is bad, all bad files are listed with the reason, nothing is scored, and the exit code
is 2; --skip-bad scores the others."""

_RESULT_FILE = "evaluation.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("predictions", metavar="PRED_DIR", type=Path, help="folder of predicted label maps")
    parser.add_argument("ground_truth", metavar="GT_DIR", type=Path, help="folder of ground-truth label maps")
    add_classes(parser, required=True)
    _add_files(parser.add_argument_group("files"))
    _add_labels(parser.add_argument_group("labels"))
    edges = parser.add_argument_group("edges")
    text = "exact: any of four neighbours differs; released: as published tables were made (default: exact)"
    edges.add_argument("--edges", choices=["exact", "released"], default="exact", help=text)
    text = "width in pixels of the band around edges, odd (default: 15, as in published tables)"
    edges.add_argument("--width", metavar="PX", type=int, default=15, help=text)


def add_classes(parser: argparse._ActionsContainer, required: bool) -> None:
    """Declare ``--classes``."""
    text = "number of classes, or their names separated by commas, or a text file with one name per line"
    parser.add_argument("--classes", metavar="N|NAMES|FILE", required=required, help=text)


def add_execution(parser: argparse._ActionsContainer, out: str) -> None:
    """Declare ``--out``, described by ``out``, and ``--workers``."""
    parser.add_argument("--out", metavar="DIR", type=Path, help=out)
    text = "processes that read files (default: one per core)"
    parser.add_argument("--workers", metavar="N", type=int, help=text)


def run(args: argparse.Namespace) -> int:
    """Evaluate as the arguments say; the exit code."""
    from dealias.evaluation.pool import begin_import

    if args.out is not None and (args.out / _RESULT_FILE).exists():
        raise ValueError(f"{args.out} holds an evaluation already; choose another --out, or delete it")
    if args.workers != 1:
        begin_import("dealias.evaluation.scoring")
    return _evaluate(args)


def _evaluate(args: argparse.Namespace) -> int:
    from rich.console import Console

    from dealias.evaluation import (
        BadFilesError,
        LabelFolders,
        Scoring,
        evaluate_folders,
        parse_classes,
        parse_label_map,
    )
    from dealias.evaluation.console import progress_bar, say, show_problems, write_problems

    scoring = Scoring(
        parse_classes(args.classes),
        ignore_index=args.ignore_index,
        edges=args.edges,
        width=args.width,
        label_map=parse_label_map(args.label_map),
        reduce_zero_label=args.reduce_zero_label,
        pred_label_map=parse_label_map(args.pred_label_map),
    )
    folders = LabelFolders(args.predictions, args.ground_truth, args.pred_suffix, args.gt_suffix)
    console, errors = Console(), Console(stderr=True)
    try:
        with progress_bar(errors, "images") as move:
            evaluation = evaluate_folders(folders, scoring, args.workers, args.skip_bad, move)
    except BadFilesError as error:
        show_problems(errors, error.problems, args.out)
        if args.out is not None:
            write_problems(args.out, error.problems)
        nothing = "none is left" if args.skip_bad else "--skip-bad scores the other images"
        say(errors, f"dealias evaluate: {len(error.problems)} problems, nothing was scored; {nothing}", "bold red")
        return 2
    _show(evaluation, console, errors, args.out)
    return 0


def _show(evaluation: Evaluation, console: Console, errors: Console, out: Path | None) -> None:
    """Write the files, print the tables, and warn of what was left out."""
    from dealias._files import write_json, write_text
    from dealias.evaluation.console import say, show_problems, write_problems
    from dealias.evaluation.tables import to_csv, to_markdown, to_rich
    from dealias.report.html import write_report

    if out is not None:
        write_problems(out, evaluation.problems)
        write_text(out / "evaluation.csv", to_csv(evaluation))
        write_text(out / "evaluation.md", to_markdown(evaluation))
        write_json(out / _RESULT_FILE, evaluation.to_dict())  # after the others: where it is, they are whole
        write_report([out], out / "report.html")
    for table in to_rich(evaluation):
        console.print(table)
    if out is not None:
        say(console, f"In {out}: report.html, evaluation.json, .csv, .md")
    if evaluation.problems:
        show_problems(errors, evaluation.problems, out)
        kept = len(evaluation.counts.images)
        text = f"WARNING: {len(evaluation.problems)} problems, so the scores are of {kept} images, not of all"
        say(errors, text, "bold red")


def _add_files(group: argparse._ArgumentGroup) -> None:
    text = "what names of predictions have before the ending; files without it are passed over"
    group.add_argument("--pred-suffix", metavar="TEXT", default="", help=text)
    text = "likewise for ground truth, such as _gtFine_labelTrainIds"
    group.add_argument("--gt-suffix", metavar="TEXT", default="", help=text)
    group.add_argument("--skip-bad", action="store_true", help="leave pairs with bad or missing files out, and say so")
    add_execution(group, "folder for the report and the files behind it, or for problems.txt and .json (default: none)")


def _add_labels(group: argparse._ArgumentGroup) -> None:
    text = "id of ground-truth pixels that are not counted, after the steps below (default: 255)"
    group.add_argument("--ignore-index", metavar="ID", type=int, default=255, help=text)
    text = "other ids for the ground truth, all at once: OLD:NEW,... or a YAML file with such a mapping"
    group.add_argument("--label-map", metavar="MAP", help=text)
    text = "afterwards, ignore id 0 of the ground truth and lower the others by one (ADE20K)"
    group.add_argument("--reduce-zero-label", action="store_true", help=text)
    group.add_argument("--pred-label-map", metavar="MAP", help="other ids for the predictions, as --label-map")
