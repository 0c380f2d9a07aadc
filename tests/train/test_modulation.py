# SPDX-License-Identifier: Apache-2.0
"""Training a network with modulation: the loss of its attention, what is logged of it, and resuming."""

import csv

import pytest
import torch

from dealias.losses import SemanticHighFrequencyLoss, cross_entropy
from dealias.models import create_model
from dealias.train import OptimizerSettings, SegmentationTask, load_checkpoint
from dealias.train.history import HistoryLogger
from dealias.train.last_checkpoint import LastCheckpoint


@pytest.fixture
def network():
    options = {"channels": (4, 8, 8, 8), "stem_width": 4}
    return create_model("fpn", "resnet10t", classes=3, decoder_channels=8, modulation="ars", encoder_options=options)


def test_the_loss_counts_with_its_weight_and_has_a_column(network, make_data, make_trainer, tmp_path):
    task = SegmentationTask(network, optimizer=OptimizerSettings("sgd", lr=0.0), high_frequency_weight=10.0)
    data = make_data(batch_size=2)
    trainer = make_trainer(
        max_steps=1, logger=HistoryLogger(tmp_path), callbacks=[LastCheckpoint(tmp_path / "last.ckpt")]
    )
    trainer.fit(task, data)
    with (tmp_path / "metrics.csv").open() as file:
        row = next(csv.DictReader(file))
    batch = next(iter(data.train_dataloader()))
    torch.manual_seed(0)
    found = network.train().forward_train(batch["image"])
    misplaced = SemanticHighFrequencyLoss()(found.attentions, batch["mask"], found.warps).item()
    assert misplaced > 0.1
    assert float(row["train/high_frequency_loss"]) == pytest.approx(misplaced, rel=1e-4)
    entropy = float(row["train/loss"]) - 10 * misplaced
    assert entropy == pytest.approx(cross_entropy(found.logits, batch["mask"]).item(), rel=0.1)  # dropout
    stored, _ = load_checkpoint(tmp_path / "last.ckpt")
    assert stored.config["modulation"] == "ars"


def test_the_loss_moves_the_attention(network, make_data, make_trainer):
    data = make_data(batch_size=4)
    batch = next(iter(data.train_dataloader()))
    measure = SemanticHighFrequencyLoss()

    def misplaced():
        with torch.no_grad():
            found = network.eval().forward_train(batch["image"])
        return measure(found.attentions, batch["mask"], found.warps).item()

    before = misplaced()
    settings = OptimizerSettings("adamw", lr=1e-2, factors={"encoder": 0.0, "decoder": 0.0, "fusion": 0.0})
    make_trainer(max_steps=15).fit(SegmentationTask(network, optimizer=settings, high_frequency_weight=100.0), data)
    assert misplaced() < before - 0.005


def test_wrong_weights(network, make_network):
    with pytest.raises(ValueError, match="high_frequency_weight must not be negative, got -1"):
        SegmentationTask(network, high_frequency_weight=-1)
    with pytest.raises(ValueError, match="got 100, needs a network with modulation"):
        SegmentationTask(make_network(), high_frequency_weight=100)
