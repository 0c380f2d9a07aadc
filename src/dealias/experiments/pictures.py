# SPDX-License-Identifier: Apache-2.0
"""Pictures of a comparison: the same images from every variant, chosen when the scores of all are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dealias.data import evaluation_transform
from dealias.report.choice import Choice, choose_images
from dealias.report.image_scores import image_scores_path, read_image_scores
from dealias.report.outcome import read_results
from dealias.report.pictures import load_pictures, save_pictures
from dealias.train.checkpoints import load_checkpoint
from dealias.train.data import SegmentationData
from dealias.train.pictures import MOST_CLASSES, PICTURES, predict_pictures
from dealias.train.run_directory import checkpoint_path

from .data import open_validation
from .pool import Report
from .settings import Run

SHOWN_SEED = 0
"""The seed whose predictions are shown, of every variant."""


@dataclass(frozen=True)
class PicturesOfRun:
    """A finished run, and which images its network is to predict."""

    run: Run
    choice: Choice

    @property
    def name(self) -> str:
        """Of the run."""
        return self.run.name

    @property
    def summary(self) -> str:
        """What was done, when it is done."""
        return f"{self.name}: {len(self.choice.names)} pictures"

    @property
    def folder(self) -> Path:
        """Where the pictures are."""
        return self.run.directory / PICTURES

    def is_done(self) -> bool:
        """Whether the folder holds these very images, whole."""
        try:
            found = load_pictures(self.folder)
        except ValueError:
            return False
        reasons = [(sample.name, sample.why) for sample in found.samples]
        wanted = list(zip(self.choice.names, self.choice.reasons.values(), strict=True))
        return found.rule == self.choice.rule and reasons == wanted


def missing_pictures(runs: Sequence[Run]) -> list[PicturesOfRun]:
    """What is to be predicted so that the finished runs of :data:`SHOWN_SEED` all show the same images.

    These are chosen by :func:`dealias.report.choice.choose_images`. More variants or other scores may change the
    choice; pictures that are there already are kept. Of more than ``MOST_CLASSES`` classes there are no pictures.
    """
    shown = [run for run in runs if run.seed == SHOWN_SEED]
    if len(read_results(shown[0].directory)["classes"]) > MOST_CLASSES:
        return []
    scores = [read_image_scores(image_scores_path(run.directory, "val")) for run in shown]
    choice = choose_images(scores, shown[0].settings.samples, "validation")
    return [wanted for run in shown if not (wanted := PicturesOfRun(run, choice)).is_done()]


def take_pictures(wanted: PicturesOfRun, report: Report) -> None:
    """Predict the images by the run's last checkpoint and write them into its directory."""
    run = wanted.run
    noisy = evaluation_transform(noise=run.settings.noise)
    data = SegmentationData(val=open_validation(run.settings.data), eval_transform=noisy)
    network = load_checkpoint(checkpoint_path(run.directory, "last"))[0].to(run.device)
    save_pictures(wanted.folder, predict_pictures(network, data, "val", wanted.choice, run.device))
    report(1.0)
