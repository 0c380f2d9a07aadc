# SPDX-License-Identifier: Apache-2.0
"""Networks of files that anybody may have written: built from a description, within the size of the file's weights."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

Network = TypeVar("Network", bound=nn.Module)

_SPARE_BYTES, _SPARE_TENSORS = 2**28, 2_000  # parts that are built and left out, as a backbone's classifier


def build_with_weights(build: Callable[[], Network], weights: Mapping[str, Tensor], path: str | Path) -> Network:
    """Build the network that a file describes and give it the file's weights.

    Args:
        build: makes it, with random weights.
        weights: of the file.
        path: the file.

    Returns:
        The network in evaluation mode.

    Raises:
        ValueError: naming the file: the network cannot be built, would be much larger than the weights, or is another
            one than that of the weights.
        ImportError: it needs a package that is not installed.
    """
    strangers = [key for key, value in weights.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
    if strangers:
        raise ValueError(f"{path}: its weights must be tensors by name, found {strangers[:5]}")
    try:
        with _not_larger_than(weights):
            network = build()
    except ImportError:
        raise
    except Exception as error:  # arguments of any kind and size, which reach every part of a network
        reason = error if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"{path}: its network cannot be built: {reason}") from error
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path}: its weights do not fit the network that it describes: {error}") from error
    return network.eval()


@contextmanager
def _not_larger_than(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Stop the building of modules in this thread that have far more parameters and buffers than there are weights.

    What a module registers is not filled yet, so that even a tensor for which there is no memory does no harm.
    """
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in weights.values()}
    most_bytes = 2 * sum(storages.values()) + _SPARE_BYTES
    most_tensors = 2 * len(weights) + _SPARE_TENSORS
    thread, found, total = threading.get_ident(), 0, 0

    def count(module: nn.Module, name: str, value: Any) -> None:
        nonlocal found, total
        if value is not None and threading.get_ident() == thread:
            found, total = found + 1, total + value.numel() * value.element_size()
            if found > most_tensors or total > most_bytes:
                raise ValueError("it would be much larger than its weights are")

    hooks = register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
