# SPDX-License-Identifier: Apache-2.0
"""A published checkpoint into a file of this library, with an account of every tensor."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dealias.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from dealias.models import DetectionModel, SegmentationModel, write_model_file, write_part_file

from .plan import Plan
from .published import plan_published
from .reading import PublishedFile, read_published
from .recognition import recognise
from .renaming import Matching, match

_IGNORED = 255


@dataclass(frozen=True)
class Images:
    """What the published network was given.

    Attributes:
        mean: subtracted from the channels, on the scale 0 to 1, red first; None: ImageNet's.
        std: divided by; None: ImageNet's.
        bgr: the channels came in the order blue, green, red.
    """

    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    bgr: bool = False


@dataclass(frozen=True)
class Conversion:
    """A network with the weights of a checkpoint.

    Attributes:
        source: name of the file.
        layout: which it has.
        plan: the network, and what was left out and why.
        matching: what was used, unexpected and missing.
        file: what else the file held.
        images: what the network takes.
    """

    source: str
    layout: str
    plan: Plan
    matching: Matching
    file: PublishedFile
    images: Images

    @property
    def network(self) -> nn.Module:
        """The network, backbone or module, in evaluation mode."""
        return self.plan.module

    def write(self, path: str | Path) -> None:
        """Write the network with where it comes from, classes and normalisation.

        Raises:
            ValueError: as of :func:`~dealias.models.write_model_file`.
        """
        metadata = {"source": self.source, "layout": self.layout}
        if self.plan.part is not None:
            write_part_file(self.network, path, *self.plan.part, metadata)
            return
        write_model_file(self.network, path, metadata | {"data": json.dumps(self._data())})

    def _data(self) -> dict[str, Any]:
        """What :func:`dealias.train.load_checkpoint` gives of the data."""
        described: dict[str, Any] = {"classes": self.file.classes, "palette": self.file.palette}
        network = self.network
        if isinstance(network, SegmentationModel):
            if self.file.classes is not None and len(self.file.classes) != network.classes:
                described = dict.fromkeys(described)
            described |= {"ignore_index": _IGNORED}
            if network.encoder.in_channels == len(IMAGENET_MEAN):
                described |= {"mean": self.images.mean or IMAGENET_MEAN, "std": self.images.std or IMAGENET_STD}
        return described


def convert(
    path: str | Path,
    layout: str | None = None,
    options: Mapping[str, Any] | None = None,
    images: Images | None = None,
    partial: bool = False,
) -> Conversion:
    """Make the network of a published checkpoint.

    Args:
        path: the file.
        layout: one of :data:`~dealias.compat.published.LAYOUTS`; None: as its keys tell.
        options: of the layout, see :func:`dealias.compat.load_published`.
        images: what the network was given.
        partial: take what fits and leave the rest random.

    Raises:
        ValueError: the file cannot be read, is of no known layout, does not tell all that is needed, or does not fit;
            the message names it.
        FileNotFoundError: there is no such file.
    """
    file, images = read_published(path), images or Images()
    try:
        layout = layout or recognise(file.weights)
        options = _with_normalisation(dict(options or {}), images, layout)
        plan = plan_published(file.weights, layout, options)
        if plan.untold:
            raise ValueError(f"the weights do not tell {plan.untold}")
        if images.bgr:
            plan = _reversed_channels(plan)
        matching = plan.load(partial)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if isinstance(plan.module, DetectionModel):
        images = Images(bgr=images.bgr)  # the network has the rest
    return Conversion(Path(path).name, layout, plan, matching, file, images)


def _with_normalisation(options: dict[str, Any], images: Images, layout: str) -> dict[str, Any]:
    """The options with the normalisation of a detector, which is part of the network."""
    given = {"image_mean": images.mean, "image_std": images.std}
    given = {name: list(values) for name, values in given.items() if values is not None}
    if layout in ("mmdet", "mask2former") and given:
        options["detector_options"] = {**given, **options.get("detector_options", {})}
    return options


def _reversed_channels(plan: Plan) -> Plan:
    """The plan for images with red first: the first convolution's inputs in the other order.

    Raises:
        ValueError: no convolution of three channels comes first.
    """
    encoder: Any = getattr(plan.module, "encoder", plan.module)
    kernels = {id(m.weight) for m in encoder.modules() if isinstance(m, nn.Conv2d)}
    first = next((key for key, value in encoder.named_parameters() if id(value) in kernels), "")
    places = match(plan.network, plan.weights, plan.rules, plan.idle).used.items()
    names = [name for name, own in places if first and f".{own}".endswith(f".{first}")]
    names = [name for name in names if plan.weights[name].shape[1] == 3]
    if len(names) != 1:
        raise ValueError("bgr needs a network of three image channels that begins with a convolution")
    weights = {**plan.weights, names[0]: torch.flip(plan.weights[names[0]], (1,))}
    return replace(plan, weights=weights)
