# SPDX-License-Identifier: Apache-2.0
"""Which attacks to try, and how strong they are."""

from __future__ import annotations

from dataclasses import dataclass

ATTACKS = ("fgsm", "pgd")
"""The names of the attacks, see :mod:`dealias.robustness.attacks`."""


@dataclass(frozen=True)
class AttackSettings:
    """Attacks to try, each with every epsilon.

    Args:
        attacks: names from :data:`ATTACKS`.
        epsilons: largest changes of a value, in grey levels of 255.
        steps: of pgd, whose steps are 2.5 epsilon / steps long.
        seed: of the random starts of pgd.

    Raises:
        ValueError: an attack is unknown, or a value is out of range.
    """

    attacks: tuple[str, ...] = ATTACKS
    epsilons: tuple[float, ...] = (1.0, 2.0, 4.0)
    steps: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.attacks if name not in ATTACKS]
        if unknown or not self.attacks:
            raise ValueError(f"unknown attack {', '.join(unknown) or 'none'}; known: {', '.join(ATTACKS)}")
        if not self.epsilons or min(self.epsilons) <= 0:
            raise ValueError(f"epsilons must be positive numbers of grey levels, got {self.epsilons}")
        if self.steps < 1 or self.seed < 0:
            raise ValueError(f"steps must be at least 1 and the seed not negative, got {self.steps} and {self.seed}")
