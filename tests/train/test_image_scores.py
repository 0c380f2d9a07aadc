# SPDX-License-Identifier: Apache-2.0
"""Scores of single images come with those of the set, and do not change them."""

import pytest
import torch

from dealias.metrics import SegmentationMetrics
from dealias.report.image_scores import IMAGE_METRICS
from dealias.train import SegmentationTask
from dealias.train.image_scores import ImageScorer, _interleave

CLASSES, LENGTH = 4, 7


@pytest.fixture
def labels():
    """Blocks of labels and noisy predictions; some ground truth is ignored."""
    generator = torch.Generator().manual_seed(0)
    target = (
        torch.randint(0, CLASSES, (LENGTH, 5, 6), generator=generator).repeat_interleave(4, 1).repeat_interleave(4, 2)
    )
    noise = torch.rand(target.shape, generator=generator)
    preds = torch.where(noise < 0.1, (target + 1) % CLASSES, target.roll(1, 2))
    return preds, target.masked_fill(noise > 0.95, 255)


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_each_image_is_scored_as_if_alone_and_the_set_as_if_together(labels, batch_size):
    metrics, expected = SegmentationMetrics(CLASSES, width=3), SegmentationMetrics(CLASSES, width=3)
    scorer = ImageScorer(metrics)
    for start in range(0, LENGTH, batch_size):
        part = slice(start, min(start + batch_size, LENGTH))
        scorer.update([str(number) for number in range(LENGTH)][part], *(each[part] for each in labels))
    expected.update(*labels)
    for name, value in expected.compute().items():
        assert torch.equal(metrics.compute()[name], value), name
    rows = scorer.collect()
    assert [name for name, _ in rows] == [str(number) for number in range(LENGTH)]
    for number, (_, scores) in enumerate(rows):
        alone = SegmentationMetrics(CLASSES, width=3)
        alone.update(*(each[number : number + 1] for each in labels))
        assert scores == [alone.compute()[metric].item() for metric in IMAGE_METRICS]
    assert scorer.collect() == []


def test_a_batch_needs_a_name_for_every_image(labels):
    with pytest.raises(ValueError, match="zip"):
        ImageScorer(SegmentationMetrics(CLASSES)).update(["a", "b"], *labels)


def test_the_images_of_processes_take_turns():
    assert _interleave([["a", "d", "g"], ["b", "e"], ["c", "f"]]) == list("abcdefg")
    assert _interleave([[], []]) == []


def test_a_task_keeps_the_scores_of_the_latest_validation_only(make_network, make_data, make_trainer):
    task = SegmentationTask(make_network())
    trainer = make_trainer(max_epochs=2, num_sanity_val_steps=2)
    trainer.fit(task, make_data(val=5))
    assert [name for name, _ in task.image_scores["val"]] == [f"block{number}" for number in range(5)]
    trainer.test(task, make_data(), verbose=False)
    assert len(task.image_scores["test"]) == 3
    column = list(IMAGE_METRICS).index("aAcc")  # all images are of one size, with as many ignored pixels
    mean = sum(scores[column] for _, scores in task.image_scores["val"]) / 5
    assert mean == pytest.approx(task.scores["val"]["aAcc"])
