# SPDX-License-Identifier: Apache-2.0
"""Scores under attack, against margins that are known."""

import csv

import pytest
import torch

from dealias.metrics import SegmentationMetrics
from dealias.robustness import AttackSettings, RobustnessMeter, evaluate_robustness, fgsm, normalised


def test_accuracy_is_the_share_of_images_with_a_wider_margin():
    weight = torch.randn(2, 3, 6, 6)
    images, labels = 0.4 + 0.2 * torch.rand(200, 3, 6, 6), torch.arange(200) % 2

    def model(x):
        return ((x - 0.5)[:, None] * weight).sum((2, 3, 4))

    logits = model(images)
    margins = logits.gather(1, labels[:, None]) - logits.gather(1, 1 - labels[:, None])
    reach = (weight[0] - weight[1]).abs().sum()  # how far one unit of change moves the difference of the logits
    settings = AttackSettings(epsilons=(0.5, 2.0), steps=3)
    batches = zip(images.split(32), labels.split(32), strict=True)
    found = evaluate_robustness(model, batches, 2, settings)
    assert found.images == 200
    assert [(t.attack, t.epsilon) for t in found.trials] == [
        ("none", 0),
        *(("fgsm", 0.5), ("fgsm", 2)),
        *(("pgd", 0.5), ("pgd", 2)),
    ]
    accuracies = [trial.scores["accuracy"] for trial in found.trials]
    assert len(set(accuracies[:3])) == 3
    for trial, accuracy in zip(found.trials, accuracies, strict=True):
        robust = margins[:, 0] > trial.epsilon / 255 * reach
        assert accuracy == pytest.approx(robust.double().mean().item())
        of_classes = [robust[labels == label].double().mean().item() for label in (0, 1)]
        assert trial.scores["mean_accuracy"] == pytest.approx(sum(of_classes) / 2)


def test_scores_of_pixels_are_those_of_the_segmentation_metrics():
    model = torch.nn.Conv2d(3, 4, 3, padding=1)
    images, labels = torch.rand(3, 3, 12, 15), torch.randint(4, (3, 12, 15))
    labels[:, 0] = 255
    found = evaluate_robustness(model, [(images, labels)], 4, AttackSettings(("fgsm",), (3.0,)), ignore_index=255)
    for trial, seen in zip(found.trials, (images, fgsm(model, images, labels, 3.0, 255)), strict=True):
        metrics = SegmentationMetrics(4)
        metrics.update(model(seen).detach(), labels)
        expected = {name: metrics.compute()[name].item() for name in ("aAcc", "mAcc", "mIoU")}
        assert dict(trial.scores) == pytest.approx(expected)
    assert found.trials[1].scores["mIoU"] < found.trials[0].scores["mIoU"]


def test_classes_that_do_not_occur_do_not_count():
    meter = RobustnessMeter(3, AttackSettings(("fgsm",), (1.0,)))
    meter.update(lambda x: torch.stack([x.sum((1, 2, 3)), -x.sum((1, 2, 3)), x.new_zeros(len(x))], 1) - 1.0, *batch())
    assert meter.compute().trials[0].scores["mean_accuracy"] == 0.5


def batch():
    return torch.ones(2, 3, 4, 4), torch.tensor([0, 1])


def test_the_table_has_every_trial():
    result = evaluate_robustness(lambda x: x.flatten(1)[:, :2], [batch()], 2, AttackSettings(("pgd",), (1.0, 4.0), 2))
    rows = list(csv.DictReader(result.to_csv().splitlines()))
    assert [(row["attack"], row["epsilon"]) for row in rows] == [("none", "0.0"), ("pgd", "1.0"), ("pgd", "4.0")]
    plain = result.to_dict()
    assert plain["settings"] == {"attacks": ("pgd",), "epsilons": (1.0, 4.0), "steps": 2, "seed": 0}
    assert [float(row["accuracy"]) for row in rows] == [trial["accuracy"] for trial in plain["trials"]]


def test_normalisation_belongs_to_the_model():
    images, mean, std = torch.rand(2, 3, 4, 5), (0.2, 0.3, 0.4), (0.5, 0.6, 0.7)
    model, as_image = normalised(lambda x: 2 * x, mean, std)
    expected = (images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(model(images), 2 * expected)
    torch.testing.assert_close(as_image(expected), images)
    model, as_image = normalised(lambda x: 2 * x, None, None)
    assert torch.equal(model(images), 2 * images) and torch.equal(as_image(images), images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attacks": ("fgsm", "cw")}, "unknown attack cw; known: fgsm, pgd"),
        ({"attacks": ()}, "unknown attack none"),
        ({"epsilons": (1.0, 0.0)}, "positive numbers of grey levels"),
        ({"epsilons": ()}, "positive numbers of grey levels"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_wrong_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttackSettings(**arguments)
