# SPDX-License-Identifier: Apache-2.0
"""``dealias predict``: label maps and overlays of image files; importing this loads nothing heavy."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dealias.prediction import ImageFile, Outputs, Predictor
    from dealias.train import InferenceSettings

_DESCRIPTION = """\
Predict images with the network of a checkpoint, normalised as in its training and in single precision. Writes class
ids to DIR/labels/NAME.png (8 bits with the classes' colours as palette; 16 bits of more than 256 classes) and the image
under its colours to DIR/overlays/NAME.jpg.

IMAGE is a file, a folder (images in it and its sub-folders) or a pattern in quotes, such as 'data/**/*_rgb.png'. NAME
is the path of an image below the folder or the fixed part of the pattern, so sub-folders are kept. No file is ever
replaced: outputs must lie apart from the images, and an earlier prediction is only added to, by --resume.

Large images take a --window: then no more of an image than one row of windows is in memory as numbers, besides its
pixels, so that 100 megapixels are segmented in less than 4 GB. Whole images of more than 67 megapixels are refused, and
any of more than 179.

Images that cannot be read, or are smaller than 32 x 32, do not stop the others: all of them are listed at the end with
the reason, also in DIR/problems.txt, and the exit code is 2."""

_EPILOG = """\
To predict the data set of a training configuration instead: dealias predict --config FILE --ckpt_path best
(see dealias predict --config --help)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="file, folder or pattern")
    text = "checkpoint of a dealias run, such as runs/NAME/checkpoints/best.ckpt, or a model file of dealias convert"
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help=text)
    files = parser.add_argument_group("files")
    text = "folder of the prediction (default: a new one, runs/<date>-<time>-predict)"
    files.add_argument("--out", type=Path, metavar="DIR", help=text)
    text = "write overlays (default: yes)"
    files.add_argument("--overlay", action=argparse.BooleanOptionalAction, default=True, help=text)
    text = (
        "go on with the prediction in --out, by the same checkpoint and settings; only files that are missing are made"
    )
    files.add_argument("--resume", action="store_true", help=text)
    _add_inference(parser.add_argument_group("inference"))


def run(args: argparse.Namespace) -> int:
    """Predict as the arguments say; the exit code."""
    from dealias._device import choose_device
    from dealias.prediction import Outputs, Predictor, begin_or_resume, check_apart, find_images
    from dealias.train.run_directory import RUNS, new_run_directory

    if args.resume and args.out is None:
        raise ValueError("--resume needs --out, the folder of the prediction to go on with")
    device, settings = choose_device(args.device), _settings(args)
    inputs = find_images(args.images)
    # A new folder is made only when all is well; until then, another one in its place stands for it.
    check_apart(inputs, Outputs(args.out or RUNS / "new-predict", args.overlay))
    predictor = Predictor.from_checkpoint(args.checkpoint, settings, device)
    outputs = Outputs(args.out or new_run_directory("predict"), args.overlay)
    begin_or_resume(outputs, inputs.images, args.checkpoint, settings, device, args.resume)
    try:
        return _predict(predictor, inputs.images, outputs)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; go on with --resume --out {outputs.folder}") from None


def _predict(predictor: Predictor, images: Sequence[ImageFile], outputs: Outputs) -> int:
    """Predict the images that are not done yet, say what came of it; the exit code."""
    from rich.console import Console

    from dealias.evaluation.console import progress_bar, say, show_problems, write_problems
    from dealias.prediction import predict_images

    todo = [image for image in images if not outputs.are_complete(image.name)]
    console, errors = Console(), Console(stderr=True)
    started = time.perf_counter()
    with progress_bar(errors, "images") as move:
        problems = predict_images(predictor, todo, outputs, move)
    seconds = time.perf_counter() - started
    write_problems(outputs.folder, problems)
    if problems:
        show_problems(errors, problems, outputs.folder)
        say(errors, f"dealias predict: {len(problems)} of {len(images)} images could not be predicted", "bold red")
    done, kept = len(todo) - len(problems), len(images) - len(todo)
    predicted = f"Predicted {done} image{'s' * (done != 1)}"
    before = f" ({kept} {'was' if kept == 1 else 'were'} there already)" if kept else ""
    rate = f", {done / seconds:.2f} images/s" if done else ""
    where = " and ".join(f"{folder.name}/" for folder in outputs.folders)
    say(console, f"{predicted}{before}{rate}: {where} in {outputs.folder}")
    return 2 if problems else 0


def _add_inference(group: argparse._ArgumentGroup) -> None:
    text = "predict in windows of this size in pixels, height and width or one number for both (default: whole images)"
    group.add_argument("--window", nargs="+", type=int, metavar="N", help=text)
    text = "distance of windows, likewise (default: two thirds of the window); where they overlap, logits are averaged"
    group.add_argument("--stride", nargs="+", type=int, metavar="N", help=text)
    text = "average predictions of the image at these relative sizes (default: 1)"
    group.add_argument("--scales", nargs="+", type=float, default=[1.0], metavar="S", help=text)
    group.add_argument("--flip", action="store_true", help="average with predictions of mirrored images")
    text = "cpu, cuda, cuda:1, ... (default: a GPU if there is one)"
    group.add_argument("--device", default="auto", metavar="D", help=text)


def _settings(args: argparse.Namespace) -> InferenceSettings:
    from dealias.train import InferenceSettings

    window, stride = _size("--window", args.window), _size("--stride", args.stride)
    return InferenceSettings(window, stride, tuple(args.scales), args.flip)


def _size(option: str, values: list[int] | None) -> int | tuple[int, int] | None:
    if values is None or len(values) == 1:
        return values[0] if values else None
    if len(values) != 2:
        raise ValueError(f"{option} takes height and width, or one number for both, got {values}")
    return values[0], values[1]
