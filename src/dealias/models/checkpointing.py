# SPDX-License-Identifier: Apache-2.0
"""Activation checkpointing: blocks keep their inputs, and are computed again for gradients (arXiv:1604.06174)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

_CONTAINERS = (nn.Sequential, nn.ModuleList)


def checkpoint_activations_(network: nn.Module) -> list[str]:
    """Let the blocks of a network forget what they compute in training: less memory for one more forward pass.

    Blocks are the elements of sequences and lists of modules that have several layers themselves: residual blocks of a
    backbone, fusions, laterals and heads. Loss and gradients stay as they are, running statistics of batch norms too:
    they see every batch once. Weights keep their names. Nothing changes without gradients.

    Args:
        network: changed in place; a second time changes nothing.

    Returns:
        The names of the blocks.

    >>> block = lambda: nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1))
    >>> checkpoint_activations_(nn.Sequential(block(), nn.ReLU(), block()))
    ['0', '2']
    """
    names = []
    for name, block in _blocks(network):
        if not isinstance(block.forward, partial):
            block.forward = partial(_forward, block)  # not a wrapper, whose name would be part of its weights' names
        names.append(name)
    return names


def _blocks(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, child in network.named_children():
        if isinstance(network, _CONTAINERS) and not isinstance(child, nn.ModuleList) and _has_layers(child):
            yield prefix + name, child
        else:
            yield from _blocks(child, f"{prefix}{name}.")


def _has_layers(module: nn.Module) -> bool:
    """Whether it is worth it: there are at least two layers with parameters of their own inside."""
    return sum(any(True for _ in part.parameters(recurse=False)) for part in module.modules()) > 1


def _forward(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    forward = partial(type(block).forward, block)
    if not (block.training and torch.is_grad_enabled()):
        return forward(*args, **kwargs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(block)

    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Within, batch norms normalise by their batch, but do not count it again."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, momentum, count in kept:
            norm.momentum, norm.num_batches_tracked = momentum, count
