# SPDX-License-Identifier: Apache-2.0
"""What comparisons of one kind of network do in their own way; all else is shared, see ``run.py``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dealias.train.base_data import PairedData
from dealias.train.base_task import NetworkTask
from dealias.train.optim import OptimizerSettings
from dealias.train.schedule import ScheduleSettings

from .pictures import PicturesOfRun
from .settings import CompareSettings, Run


@dataclass(frozen=True)
class Course:
    """How a run is trained, whatever it is trained for."""

    optimizer: OptimizerSettings
    schedule: ScheduleSettings
    seed: int


class Kind(ABC):
    """The data, the task and the scores of a comparison; nothing is opened before it is asked for.

    Args:
        settings: of the comparison, completed.
    """

    def __init__(self, settings: CompareSettings) -> None:
        self.settings = settings

    @staticmethod
    @abstractmethod
    def complete(settings: CompareSettings) -> CompareSettings:
        """Settings with the defaults of the kind.

        Raises:
            ValueError: networks of this kind do not go with a setting.
        """

    @property
    @abstractmethod
    def columns(self) -> Mapping[str, str]:
        """The columns of the table, and the score that each shows; the first is what runs are judged by."""

    @property
    @abstractmethod
    def classes(self) -> list[str]:
        """Names, in the order of all scores of classes.

        Raises:
            ValueError: the settings name no data; or as the data sets.
        """

    @property
    @abstractmethod
    def counts(self) -> tuple[int, int]:
        """Number of classes of the network, and of stuff categories besides."""

    @abstractmethod
    def training_data(self, seed: int) -> PairedData:
        """What a run with this seed trains on."""

    @abstractmethod
    def validation_data(self) -> PairedData:
        """What every run is scored on, the same for all."""

    @abstractmethod
    def task(self, network: Any, loss_weight: float, course: Course) -> NetworkTask:
        """Loss and scores around a network.

        Args:
            network: of the settings' architecture.
            loss_weight: factor of the loss of its modulation, 0 where it is trained without.
            course: optimiser, schedule and seed.
        """

    @abstractmethod
    def keep(self, task: Any, folder: Path) -> dict[str, Any]:
        """Write what a scored run has besides ``metrics.json``, and return what that says of it, ``classes`` included.

        Args:
            task: of :meth:`task`, after validation.
            folder: of the run.
        """

    @abstractmethod
    def aliasing(self, network: Any, device: str) -> dict[str, float]:
        """Aliasing at the stages on validation images, see :func:`dealias.experiments.stage_aliasing`."""

    @abstractmethod
    def missing_pictures(self, runs: Sequence[Run]) -> list[PicturesOfRun]:
        """Pictures that finished runs are still to take."""
