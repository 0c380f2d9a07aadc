# SPDX-License-Identifier: Apache-2.0
"""The arguments of ``dealias compare``; importing this loads nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dealias.commands.complexity import add_complexity, run_complexity
from dealias.commands.values import mapping

_DESCRIPTION = """\
Train variants of a network, with the same seeds, and compare the scores: of segmentation, or of objects, which follows
from the architecture. Variants are every given fusion with every given prefilter, mixer and modulation; the first one
is the baseline.

The runs of one seed are paired: layers that the networks share start with the same weights, and the samples come in
the same order with the same augmentation. Differences to the baseline are therefore taken seed by seed, and marked
where the seeds do not resolve them. Runs are spread over worker processes. With --resume finished runs are kept, also
to add seeds or variants to a comparison.

With --complexity nothing is trained: the fusions' parameters, multiply-adds, memory and time are compared."""

_FUSIONS = ("bilinear", "carafe", "freqfusion")

_OBJECTS = ("faster_rcnn", "mask_rcnn", "panoptic_fpn", "mask2former")
"""The architectures that find objects."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_variants(parser.add_argument_group("what is compared"))
    _add_network(parser.add_argument_group("network"))
    _add_training(parser.add_argument_group("training"))
    _add_evaluation(parser.add_argument_group("evaluation"))
    add_complexity(parser.add_argument_group("complexity"))
    add_execution(parser.add_argument_group("execution"), "compare")


def run(args: argparse.Namespace) -> int:
    """Compare as the arguments say; the exit code."""
    if args.complexity:
        return run_complexity(args)
    from rich.console import Console

    from dealias.experiments.compare import Execution, compare
    from dealias.experiments.settings import CompareSettings

    settings = CompareSettings(
        fusions=tuple(args.fusion or _FUSIONS),
        fusion_options=args.fusion_options,
        prefilters=tuple(args.prefilter),
        prefilter_options=args.prefilter_options,
        mixers=tuple(args.mixer),
        mixer_options=args.mixer_options,
        modulations=tuple(args.modulation),
        modulation_options=args.modulation_options,
        high_frequency_weight=args.high_frequency_weight,
        seeds=args.seeds,
        data=args.data or ("objects" if args.arch in _OBJECTS else "scenes"),
        low_light=args.low_light,
        arch=args.arch,
        encoder=args.encoder,
        encoder_weights=args.encoder_weights,
        encoder_options=args.encoder_options,
        model_options=args.model_options,
        steps=args.steps if args.budget is None else None,
        budget=args.budget,
        batch_size=args.batch_size,
        crop=args.crop,
        lr=args.lr,
        fusion_lr_factor=args.fusion_lr_factor,
        weight_decay=args.weight_decay,
        band=args.band,
        noise=args.noise,
        samples=args.samples,
    )
    compare(settings, Execution.from_arguments(args, "compare"), Console())
    return 0


def add_execution(group: Any, name: str) -> None:
    """Declare what changes where and how runs are done, but not what comes out."""
    _option(
        group, "--out", "DIR", f"folder of the comparison (default: a new one, runs/<date>-<time>-{name})", type=Path
    )
    group.add_argument("--resume", action="store_true", help="keep the finished runs in --out")
    _option(group, "--workers", "N", "processes that train side by side (default: one per core; on a GPU: 1)", type=int)
    _option(group, "--device", "D", "cpu, cuda, cuda:1, ... (default: a GPU if there is one)", default="auto")


def _add_variants(group: Any) -> None:
    text = f"at upsampling (default: {' '.join(_FUSIONS)}; with --complexity: all)"
    group.add_argument("--fusion", nargs="+", metavar="NAME", help=text)
    text = 'options by fusion, such as \'{"freqfusion": {"compressed_channels": 32}}\''
    _option(group, "--fusion-options", "JSON", text, type=mapping, default={})
    text = "before stages 2-4, optionally with its mixer, such as: none blur daf daf+freqmix (default: none)"
    group.add_argument("--prefilter", nargs="+", default=["none"], metavar="NAME", help=text)
    _option(group, "--prefilter-options", "JSON", "options by prefilter", type=mapping, default={})
    text = "in the blocks of stages 2-4: none, freqmix (default: none)"
    group.add_argument("--mixer", nargs="+", default=["none"], metavar="NAME", help=text)
    _option(group, "--mixer-options", "JSON", "options by mixer", type=mapping, default={})
    text = "before stages 2-4, optionally trained with its loss: none, ars, ars+loss (default: none)"
    group.add_argument("--modulation", nargs="+", default=["none"], metavar="NAME", help=text)
    text = 'options by modulation, such as \'{"ars": {"sigma": 6}}\''
    _option(group, "--modulation-options", "JSON", text, type=mapping, default={})
    text = "factor of the loss of the modulation (default: 100)"
    _option(group, "--high-frequency-weight", "W", text, type=float, default=100.0)
    _option(group, "--seeds", "N", "number of seeds (default: 3)", type=int, default=3)
    text = (
        "scenes (synthetic, default), scenes:TRAIN/VAL (their numbers), camvid:ROOT, cityscapes:ROOT, ade20k:ROOT, "
        "voc:ROOT, vocaug:ROOT (trained on train_aug), or folders:FILE.yaml (its keys: train and val with images and "
        "labels each, and classes); of objects: objects (synthetic, default), objects:TRAIN/VAL, or coco:ROOT (with "
        "annotations, and images/train2017 and images/val2017, or these two)"
    )
    _option(group, "--data", "DATA", text)
    text = "darken all images as a camera takes them in low light, with its noise; of networks of objects"
    group.add_argument("--low-light", action="store_true", help=text)


def _add_network(group: Any) -> None:
    names = ["fpn", "upernet", "unet", "segformer", "segnext", "direct", "fcn", "pspnet", *_OBJECTS]
    group.add_argument("--arch", default="fpn", choices=names, help="architecture (default: fpn)")
    _option(group, "--encoder", "NAME", "timm backbone (default: resnet18)", default="resnet18")
    _option(group, "--encoder-weights", "W", "imagenet, or a local file of weights (default: from scratch)")
    _option(group, "--encoder-options", "JSON", "arguments of the backbone", type=mapping, default={})
    text = (
        "options of the architecture, such as '{\"decoder_channels\": 64}'; of fcn and pspnet also output_stride "
        "(networks of objects are small on synthetic data unless told otherwise)"
    )
    _option(group, "--model-options", "JSON", text, type=mapping, default={})


def _add_training(group: Any) -> None:
    length = group.add_mutually_exclusive_group()
    _option(length, "--steps", "N", "training steps of every run (default: 400)", type=int, default=400)
    text = "training time of every run instead: equal time for all variants, in which slower ones take fewer steps"
    _option(length, "--budget", "SECONDS", text, type=float)
    _option(group, "--batch-size", "N", "images per step (default: 8)", type=int, default=8)
    text = (
        "side of the square training crops in pixels, not of objects (default: whole scenes; otherwise what fits, at "
        "most 512)"
    )
    _option(group, "--crop", "N", text, type=int)
    _option(
        group,
        "--lr",
        "RATE",
        "peak learning rate, AdamW with cosine schedule (default: 0.002)",
        type=float,
        default=2e-3,
    )
    text = "learning rate of the fusions' parameters relative to --lr (default: 0.25)"
    _option(group, "--fusion-lr-factor", "F", text, type=float, default=0.25)
    _option(group, "--weight-decay", "W", "of AdamW (default: 0.01)", type=float, default=0.01)


def _add_evaluation(group: Any) -> None:
    text = "width of the boundary band in pixels, odd; 15 in published tables (default: in proportion, 15 at 1024 px)"
    _option(group, "--band", "N", text, type=int)
    text = "Gaussian noise in validation images, in grey levels of 0 to 255, to see how robust each is (default: none)"
    _option(group, "--noise", "SIGMA", text, type=float, default=0.0)
    _option(
        group,
        "--samples",
        "N",
        "pictures in the gallery, evenly spaced over the set, not of objects (default: 4)",
        type=int,
        default=4,
    )


def _option(group: Any, flag: str, metavar: str, text: str, type: Any = str, default: Any = None) -> None:
    group.add_argument(flag, metavar=metavar, help=text, type=type, default=default)
