# SPDX-License-Identifier: Apache-2.0
"""Learning rates as functions of the step."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

_DROP = 0.1


@dataclass(frozen=True)
class ScheduleSettings:
    """How the learning rate falls from its base to ``min_lr`` over the training.

    Args:
        name: poly, cosine, steps or constant.
        power: exponent of poly.
        min_lr: learning rate at the end, the same for all parts of the network.
        warmup_steps: optimiser steps of linear warm-up, which multiplies the falling learning rate.
        warmup_start: factor of the learning rate at step 0 of the warm-up.
        milestones: times at which steps multiplies the learning rate by 0.1, where the whole training takes ``length``.
        length: of the training in the unit of the milestones, such as 12 epochs.
    """

    name: Literal["poly", "cosine", "steps", "constant"] = "poly"
    power: float = 0.9
    min_lr: float = 0.0
    warmup_steps: int = 0
    warmup_start: float = 1e-3
    milestones: tuple[float, ...] = (8, 11)
    length: float = 12

    def __post_init__(self) -> None:
        if not all(0 < milestone < self.length for milestone in self.milestones):
            raise ValueError(f"milestones must be in 0 to the length {self.length:g}, got {self.milestones}")


def learning_rate(step: int, steps: int, base: float, settings: ScheduleSettings) -> float:
    """Learning rate of the optimiser step number ``step``.

    With t = step / steps: poly ``min_lr + (base - min_lr) (1 - t)^power``, cosine ``min_lr + (base - min_lr)
    (1 + cos(pi t)) / 2``, steps ``min_lr + (base - min_lr) 0.1^n`` behind n milestones, constant ``base``; during the
    warm-up, times ``warmup_start + (1 - warmup_start) step / warmup_steps``.

    Args:
        step: from 0; beyond ``steps`` the rate stays at the end's.
        steps: optimiser steps of the whole training, positive.
        base: learning rate without schedule.
        settings: the schedule.

    Raises:
        ValueError: the schedule is unknown.

    >>> [round(learning_rate(step, 4, 1.0, ScheduleSettings("cosine", warmup_steps=2)), 4) for step in range(5)]
    [0.001, 0.4272, 0.5, 0.1464, 0.0]
    """
    progress = min(step / steps, 1.0)
    if settings.name == "poly":
        share = (1.0 - progress) ** settings.power
    elif settings.name == "cosine":
        share = (1.0 + math.cos(math.pi * progress)) / 2.0
    elif settings.name == "steps":
        passed = sum(milestone * steps <= step * settings.length for milestone in settings.milestones)
        share = _DROP**passed
    elif settings.name == "constant":
        share = 1.0
    else:
        raise ValueError(f"unknown schedule {settings.name!r}, expected 'poly', 'cosine', 'steps' or 'constant'")
    rate = settings.min_lr + (base - settings.min_lr) * share
    if step < settings.warmup_steps:
        rate *= settings.warmup_start + (1.0 - settings.warmup_start) * step / settings.warmup_steps
    return rate


def build_schedule(optimizer: Optimizer, steps: int, settings: ScheduleSettings) -> LambdaLR:
    """A scheduler that gives each parameter group its :func:`learning_rate`; to be stepped with the optimiser."""
    return LambdaLR(optimizer, [partial(_factor, steps, group["lr"], settings) for group in optimizer.param_groups])


def _factor(steps: int, base: float, settings: ScheduleSettings, step: int) -> float:
    return learning_rate(step, steps, base, settings) / base if base else 0.0  # a group that does not train
