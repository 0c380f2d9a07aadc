# SPDX-License-Identifier: Apache-2.0
"""Noise in the validation images of a comparison changes the scores, and nothing that is trained."""

import json

import pytest
import torch

from dealias.experiments.run import train_run
from dealias.experiments.settings import CompareSettings, plan_runs
from dealias.train import load_checkpoint

TINY = {
    "fusions": ("bilinear",),
    "data": "scenes:8/4",
    "encoder": "test_resnet",
    "model_options": {"decoder_channels": 8},
    "batch_size": 4,
    "seeds": 1,
    "steps": 2,
}


def test_noise_is_in_the_scores_alone(tmp_path):
    weights, scores = [], []
    for noise in (0.0, 40.0, 40.0):
        (run,) = plan_runs(CompareSettings(**TINY, noise=noise), tmp_path / f"out{len(scores)}", "cpu")
        train_run(run, lambda share: None)
        scores.append(json.loads((run.directory / "metrics.json").read_text())["scores"]["val"])
        weights.append(load_checkpoint(run.directory / "checkpoints" / "last.ckpt")[0].state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert scores[0] != scores[1] == scores[2]


def test_negative_noise_is_refused():
    with pytest.raises(ValueError, match=r"noise must not be negative, got -1"):
        CompareSettings(**TINY, noise=-1.0)
