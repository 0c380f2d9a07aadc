# SPDX-License-Identifier: Apache-2.0
"""How robust a network is: attacks on its images, and what they leave of its scores. Needs torch and torchmetrics."""

from .attacks import fgsm, pgd
from .measure import RobustnessMeter, evaluate_robustness, normalised
from .result import Robustness, Trial
from .settings import ATTACKS, AttackSettings

__all__ = [
    "ATTACKS",
    "AttackSettings",
    "Robustness",
    "RobustnessMeter",
    "Trial",
    "evaluate_robustness",
    "fgsm",
    "normalised",
    "pgd",
]
