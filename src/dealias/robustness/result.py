# SPDX-License-Identifier: Apache-2.0
"""Scores of a network with and without attacks, as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .settings import AttackSettings

CLEAN = "none"
"""The name of no attack, whose epsilon is 0."""


@dataclass(frozen=True)
class Trial:
    """The scores under one attack.

    Attributes:
        attack: its name, or ``"none"``.
        epsilon: largest change of a value, in grey levels of 255.
        scores: fractions, by name.
    """

    attack: str
    epsilon: float
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Robustness:
    """The scores of a network without attack, then under each.

    Attributes:
        settings: of the attacks.
        images: how many were attacked.
        trials: the first one without attack.
    """

    settings: AttackSettings
    images: int
    trials: tuple[Trial, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain values, for JSON."""
        trials = [{"attack": trial.attack, "epsilon": trial.epsilon, **trial.scores} for trial in self.trials]
        return {"settings": asdict(self.settings), "images": self.images, "trials": trials}

    def to_csv(self) -> str:
        """A row per trial: ``attack``, ``epsilon`` and a column for each score."""
        rows = self.to_dict()["trials"]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
