# SPDX-License-Identifier: Apache-2.0
"""Optimisers whose learning rate depends on the part of the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

Parts = Mapping[str, Sequence[nn.Parameter]]
"""The parameters of a network by the name of the part they belong to, each once."""


@dataclass(frozen=True)
class OptimizerSettings:
    """An optimiser and its numbers.

    Args:
        name: sgd (with momentum) or adamw.
        lr: learning rate of parts without a factor.
        weight_decay: decay of kernels and matrices; L2 for sgd, decoupled for adamw.
        momentum: of sgd.
        betas: of adamw.
        decay_vectors: decay also biases, norm weights and other parameters with one dimension.
        factors: learning-rate factors by part of the network (encoder, decoder, auxiliary, fusion, prefilter, mixer,
            modulation).
    """

    name: Literal["sgd", "adamw"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    decay_vectors: bool = False
    factors: dict[str, float] = field(default_factory=dict)


def build_optimizer(parts: Parts, settings: OptimizerSettings) -> Optimizer:
    """The optimiser of :func:`parameter_groups`.

    Raises:
        ValueError: the optimiser or a part is unknown.
    """
    groups = parameter_groups(parts, settings)
    if settings.name == "sgd":
        return SGD(groups, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)
    if settings.name == "adamw":
        return AdamW(groups, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay)
    raise ValueError(f"unknown optimizer {settings.name!r}, expected 'sgd' or 'adamw'")


def parameter_groups(parts: Parts, settings: OptimizerSettings) -> list[dict[str, Any]]:
    """Groups of trainable parameters with the learning rate of their part.

    Parameters with at most one dimension (biases, norms, layer scales) form groups without weight decay, unless
    ``settings.decay_vectors``.

    Args:
        parts: trainable and frozen parameters by part; a parameter may be in one part only.
        settings: learning rate, factors and weight decay.

    Returns:
        One dictionary per group that is not empty: ``params``, ``lr``, ``weight_decay`` and ``name``
        (``"encoder"``, ``"encoder vectors"``, ...).

    Raises:
        ValueError: a factor names an unknown part, or a parameter is in two parts.
    """
    unknown = set(settings.factors) - set(parts)
    if unknown:
        raise ValueError(
            f"no part {', '.join(sorted(unknown))} to give a learning rate, the parts are {', '.join(parts)}"
        )
    everything = [id(parameter) for parameters in parts.values() for parameter in parameters]
    if len(everything) != len(set(everything)):
        raise ValueError("a parameter belongs to two parts of the network")
    groups = []
    for part, parameters in parts.items():
        lr = settings.lr * settings.factors.get(part, 1.0)
        trainable = [parameter for parameter in parameters if parameter.requires_grad]
        kernels = [parameter for parameter in trainable if parameter.dim() > 1]
        vectors = [parameter for parameter in trainable if parameter.dim() <= 1]
        vector_decay = settings.weight_decay if settings.decay_vectors else 0.0
        groups.append({"name": part, "params": kernels, "lr": lr, "weight_decay": settings.weight_decay})
        groups.append({"name": f"{part} vectors", "params": vectors, "lr": lr, "weight_decay": vector_decay})
    return [group for group in groups if group["params"]]
