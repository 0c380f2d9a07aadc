# SPDX-License-Identifier: Apache-2.0
"""A segmentation network as one graph of standard torch operators for any batch, height and width."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from dealias.models.segmentation import SegmentationModel

from .plain_operators import plain_operators
from .torch_operators import general_operators

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
"""In what networks can compute, by name."""

SMALLEST = 33
"""Lowest height and width of a graph's images, pixels: at 32, the coarsest level has one pixel, a case of its own."""

_EXAMPLE = (2, 64, 96)
"""Batch, height and width of the images to trace with: none is 1, and levels differ in every size."""


def trace(model: SegmentationModel, dtype: torch.dtype = torch.float32, multiple: int = 1) -> ExportedProgram:
    """Write a network down as a graph, in evaluation mode, without operators of dealias and Fourier transforms.

    What a graph assumes of sizes beyond :data:`SMALLEST` is in it as assertions.

    Args:
        model: on the CPU; it is not changed.
        dtype: of weights and computation, one of :data:`DTYPES`; images and logits stay float32.
        multiple: 1 for any size, or 32 for heights and widths that are multiples of 32, from 64 on; others are then
            not refused by the graph.

    Returns:
        A program from ``images`` [B, in_channels, H, W] to logits [B, classes, H, W], both float32.

    Raises:
        ValueError: another kind of network, or one that cannot be written so: it is named what prevents it.
    """
    if not isinstance(model, SegmentationModel):
        raise ValueError(f"only segmentation networks can be exported, got a {type(model).__name__}")
    if model.config.get("modulation") not in (None, "none"):
        raise ValueError(f"a network with the modulation {model.config['modulation']!r} cannot be exported")
    if "prefer_deferred_runtime_asserts_over_guards" not in inspect.signature(torch.export.export).parameters:
        raise ValueError(f"export for any size needs a later torch, this is {torch.__version__}")
    network = _InPrecision(copy.deepcopy(model).eval().requires_grad_(False), dtype)
    batch, height, width = Dim("batch", min=1), _side("height", multiple), _side("width", multiple)
    example = torch.zeros(_EXAMPLE[0], model.encoder.in_channels, *_EXAMPLE[1:])
    program = torch.export.export(
        network,
        (example,),
        dynamic_shapes={"images": {0: batch, 2: height, 3: width}},
        strict=False,
        prefer_deferred_runtime_asserts_over_guards=True,
    )
    program = program.run_decompositions({**plain_operators(), **general_operators()})
    foreign = foreign_operators(program)
    if foreign:
        raise ValueError(f"operators that no other program has are left in the graph: {', '.join(foreign)}")
    return program


def foreign_operators(program: ExportedProgram) -> list[str]:
    """Names of operators in a program that are no standard ones of torch, and of those on complex numbers."""
    found = set()
    for node in program.graph.nodes:
        value = node.meta.get("val")
        is_complex = isinstance(value, Tensor) and value.is_complex()
        own = isinstance(node.target, torch._ops.OpOverload) and node.target.namespace not in ("aten", "prim", "prims")
        if is_complex or own:
            found.add(str(node.target))
    return sorted(found)


def _side(name: str, multiple: int) -> Any:
    """A height or width that is not known yet."""
    if multiple == 1:
        return Dim(name, min=SMALLEST)
    return multiple * Dim(f"{name}_in_{multiple}", min=SMALLEST // multiple + 1)


class _InPrecision(nn.Module):
    """A network that computes in another precision than that of its images and logits."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self.dtype = network.to(dtype), dtype

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.to(self.dtype)).float()
