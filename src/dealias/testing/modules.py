# SPDX-License-Identifier: Apache-2.0
"""What every module on maps promises, however many maps it takes and returns."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .tolerances import assert_close

Maps = Sequence[Tensor]
"""The maps [B, C, H, W] that a module takes, in order."""


def check_gradients(module: nn.Module, maps: Maps) -> None:
    """Every input and every parameter get finite gradients that are not all zero."""
    leaves = [x.requires_grad_() for x in maps]
    torch.stack([out.square().mean() for out in outputs(module, leaves)]).sum().backward()
    inputs = ((f"input {index}", leaf) for index, leaf in enumerate(leaves))
    for name, leaf in (*inputs, *module.named_parameters()):
        if leaf.grad is None or not leaf.grad.isfinite().all() or not leaf.grad.any():
            raise AssertionError(f"{name} gets no finite gradient")


def check_precisions(module: nn.Module, maps: Maps) -> None:
    """Half, single and double precision: dtype kept, values close to those in double precision."""
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        rounded = copy.deepcopy(module).to(dtype)
        exact = copy.deepcopy(rounded).double()
        inputs = [x.to(dtype) for x in maps]
        actual = outputs(rounded, inputs)
        for a in actual:
            if a.dtype != dtype:
                raise AssertionError(f"{dtype} in, {a.dtype} out")
        _assert_same(actual, outputs(exact, [x.double() for x in inputs]))


def check_layouts(module: nn.Module, maps: Maps) -> None:
    """Channels-last and strided inputs give the same values."""
    expected = outputs(module, maps)
    strided = [x.repeat_interleave(2, dim=3)[..., ::2] for x in maps]
    for inputs in ([x.to(memory_format=torch.channels_last) for x in maps], strided):
        _assert_same(outputs(module, inputs), expected)


def check_state_dict(make: Callable[[], nn.Module], maps: Maps) -> None:
    """The state dict carries everything: another instance that loads it gives the same values."""
    first, second = make().eval(), make().eval()
    second.load_state_dict(first.state_dict(), strict=True)
    for a, e in zip(outputs(second, maps), outputs(first, maps), strict=True):
        if not torch.equal(a, e):
            raise AssertionError("loading the state dict does not reproduce the values")


def check_compile(module: nn.Module, sizes: Sequence[Maps]) -> None:
    """One full graph for sizes that change, values and gradients as in eager mode."""
    torch.compiler.reset()  # methods share one forward, and dynamo compiles a function for a few classes only
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend="aot_eager")
    for maps in sizes:
        leaves = [x.requires_grad_() for x in maps]
        actual, expected = outputs(compiled, leaves), outputs(module, leaves)
        _assert_same(actual, expected)
        _assert_same(*(torch.autograd.grad([o.sum() for o in out], leaves) for out in (actual, expected)))


def check_export(module: nn.Module, names: Sequence[str], sizes: Sequence[Maps]) -> None:
    """One exported graph without complex numbers for sizes that change; the first are the example.

    Args:
        module: in evaluation mode.
        names: of the arguments of its ``forward``.
        sizes: maps of one batch size, in several heights and widths.
    """
    any_size = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    exported = torch.export.export(module, tuple(sizes[0]), dynamic_shapes=dict.fromkeys(names, any_size))
    for node in exported.graph.nodes:
        value = node.meta.get("val")
        if isinstance(value, Tensor) and value.is_complex():
            raise AssertionError(f"complex numbers in the exported graph: {node}")
    for maps in sizes[1:]:
        _assert_same(outputs(exported.module(), maps), outputs(module, maps))


def outputs(module: Callable[..., Tensor | tuple[Tensor, ...]], maps: Maps) -> tuple[Tensor, ...]:
    """What a module returns, as a tuple if it is one tensor."""
    returned = module(*maps)
    return (returned,) if isinstance(returned, Tensor) else returned


def _assert_same(actual: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e)
