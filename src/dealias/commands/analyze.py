# SPDX-License-Identifier: Apache-2.0
"""The arguments of ``dealias analyze``; importing this loads nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dealias.inspection import Images, Size, Subject

_DESCRIPTION = """\
Run images through a network and measure, at every layer that makes feature maps smaller, how much of the detail that
arrives is finer than the layer can keep: that part comes back as false, coarser patterns. Writes a report page that
explains itself, and analysis.json with all the numbers.

DATA is scenes or scenes:N (synthetic images), the validation set of camvid:ROOT, folders:FILE.yaml or another data set
as for dealias compare, or an image file, a folder or a pattern in quotes. If the network of a checkpoint was trained on
the classes of the data, the correlation of aliasing with errors near edges is measured as well.

With --similarity, on data with labels, another question is asked instead: how well features near the edges of classes
resemble their own class, before and after every fusion, and by how many pixels boundaries are displaced. Writes a
report page and similarity.json.

With --modulation, of a network that was trained with one: where its modulations put samples, how much that lowers
frequencies before strides, and how much detail comes back after them. Writes a report page and modulation.json."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    network = parser.add_argument_group("network")
    which = network.add_mutually_exclusive_group(required=True)
    which.add_argument("--timm", metavar="NAME", help="a timm model, such as resnet50 (see dealias list --encoders)")
    text = "checkpoint of a dealias run, such as runs/NAME/checkpoints/best.ckpt, or a model file of dealias convert"
    which.add_argument("--checkpoint", type=Path, metavar="FILE", help=text)
    text = "ARCH/ENCODER, such as fpn/resnet18, or the arguments of create_model as JSON or a .json file"
    which.add_argument("--model", metavar="MODEL", help=text)
    text = "with the weights that timm knows (default: random ones; only with --timm)"
    network.add_argument("--pretrained", action="store_true", help=text)
    _add_kinds(parser.add_mutually_exclusive_group())
    text = "names of modules to measure (default: all downsampling layers; with --similarity: all fusions)"
    network.add_argument("--layers", nargs="+", metavar="NAME", help=text)
    images = parser.add_argument_group("images")
    images.add_argument("--data", required=True, metavar="DATA", help="what to run through the network, see above")
    text = "at most so many images, evenly spaced over all (default: 100)"
    images.add_argument("--limit", type=int, default=100, metavar="N", help=text)
    text = "resize images to this height and width in pixels, or one number for both (default: as the network needs it)"
    images.add_argument("--size", nargs="+", type=int, metavar="N", help=text)
    text = "with --similarity: compare features and labels at this height and width (default: that of the labels)"
    images.add_argument("--grid", nargs="+", type=int, metavar="N", help=text)
    text = (
        "pixels by which edges are widened to a band, odd (default: 15 at 1024 px, in proportion; 5 with --similarity "
        "or --modulation)"
    )
    images.add_argument("--band", type=int, metavar="N", help=text)
    _add_output(parser.add_argument_group("output"))


def _add_kinds(group: Any) -> None:
    text = "measure how features keep classes apart, before and after fusions, instead of aliasing"
    group.add_argument("--similarity", action="store_true", help=text)
    text = "measure what modulations do to feature maps, instead of aliasing"
    group.add_argument("--modulation", action="store_true", help=text)


def run(args: argparse.Namespace) -> int:
    """Analyse as the arguments say; the exit code."""
    from rich.console import Console

    from dealias._device import choose_device
    from dealias.inspection import claim, open_images

    from . import analyze_aliasing, analyze_modulation, analyze_similarity

    if args.pretrained and args.timm is None:
        raise ValueError("--pretrained is for --timm; a --model takes encoder_weights in its JSON")
    if args.grid is not None and not args.similarity:
        raise ValueError("--grid is for --similarity; --size resizes the images")
    if args.layers is not None and args.modulation:
        raise ValueError("--layers is not for --modulation, which measures every stage that is modulated")
    kind: Any = analyze_aliasing
    if args.similarity or args.modulation:
        kind = analyze_similarity if args.similarity else analyze_modulation
    if args.out is not None:
        claim(args.out, kind.FILE, kind.WHAT)
    size = pair(args.size, "--size")
    device, images, subject = choose_device(args.device), open_images(args.data, args.limit), _subject(args)
    subject.network.to(device)
    kind.analyze(Task(args, device, subject, images, size), Console())
    return 0


@dataclass(frozen=True)
class Task:
    """What is to be analysed: a network on a device, images, and the height and width to bring these to."""

    args: argparse.Namespace
    device: str
    subject: Subject
    images: Images
    size: Size | None

    def describe(self) -> dict[str, Any]:
        """Where the network is from, what was asked for, and the environment."""
        from dealias.train.run_directory import environment

        return {
            "source": self.args.timm or self.args.model or str(self.args.checkpoint),
            "settings": {"size": self.size or self.subject.size, "band": self.args.band, "layers": self.args.layers},
            "environment": environment(device=self.device),
        }

    @contextmanager
    def progress(self) -> Iterator[Callable[[int, int], None]]:
        """A bar that the function that is given moves; an interruption says that nothing was written."""
        from rich.console import Console

        from dealias.evaluation.console import progress_bar

        try:
            with progress_bar(Console(stderr=True), "images") as move:
                yield move
        except KeyboardInterrupt:
            raise KeyboardInterrupt("interrupted; nothing was written") from None


def pair(values: list[int] | None, option: str) -> tuple[int, int] | None:
    """Height and width from one or two numbers.

    Raises:
        ValueError: they are more, or below 1; the option is named.
    """
    if values is None:
        return None
    if len(values) > 2 or min(values) < 1:
        raise ValueError(f"{option} takes height and width, or one number for both, got {values}")
    return values[0], values[-1]


def _subject(args: argparse.Namespace) -> Subject:
    from dealias.inspection import open_checkpoint, open_model, open_timm

    if args.timm is not None:
        return open_timm(args.timm, args.pretrained)
    return open_checkpoint(args.checkpoint) if args.checkpoint is not None else open_model(args.model)


def _add_output(group: Any) -> None:
    text = "folder of the analysis (default: a new one, runs/<date>-<time>-analyze)"
    group.add_argument("--out", type=Path, metavar="DIR", help=text)
    text = "sample images that are shown with maps, evenly spaced (default: 4)"
    group.add_argument("--samples", type=int, default=4, metavar="N", help=text)
    text = (
        "so many layers are mapped at most, the one with the most aliasing for each size of maps, or with --similarity "
        "or --modulation those with the finest maps (default: 3)"
    )
    group.add_argument("--maps", type=int, default=3, metavar="N", help=text)
    text = "cpu, cuda, cuda:1, ... (default: a GPU if there is one)"
    group.add_argument("--device", default="auto", metavar="D", help=text)
