# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from dealias.report.choice import choose_images, evenly_spaced
from dealias.report.image_scores import IMAGE_METRICS

NAMES = [f"image {number}" for number in range(30)]


def scores(seed, **columns):
    """Random scores of the images, with some columns given."""
    random = np.random.default_rng(seed)
    table = {metric: columns.get(metric, random.random(len(NAMES))) for metric in IMAGE_METRICS}
    return {name: {metric: table[metric][row] for metric in table} for row, name in enumerate(NAMES)}


def by_reason(choice):
    return {reason: position for position, why in choice.reasons.items() for reason in why if "spaced" not in reason}


def test_samples_are_evenly_spaced():
    assert evenly_spaced(320, 4) == [40, 120, 200, 280]
    assert evenly_spaced(3, 3) == [0, 1, 2]


def test_the_ends_of_the_whole_set_are_chosen_by_the_mean_over_variants():
    variants = [scores(seed) for seed in range(3)]
    choice = choose_images(variants, 4, "validation")
    table = {
        metric: np.array([[of[metric] for of in variant.values()] for variant in variants]) for metric in IMAGE_METRICS
    }
    mean = {metric: values.mean(axis=0) for metric, values in table.items()}
    assert by_reason(choice) == {
        "lowest mIoU": np.argsort(mean["mIoU"])[0],
        "second lowest mIoU": np.argsort(mean["mIoU"])[1],
        "highest mIoU": mean["mIoU"].argmax(),
        **{f"highest {metric}": mean[metric].argmax() for metric in ("FErr", "MErr", "DErr")},
        "variants differ most in mIoU": np.ptp(table["mIoU"], axis=0).argmax(),
    }
    assert list(choice.reasons)[:4] == [3, 11, 18, 26]
    assert choice.names == tuple(NAMES[position] for position in choice.reasons)
    assert choice.rule.startswith("4 of 30 validation images, evenly spaced; and those that are worst or best")


def test_an_image_is_shown_once_with_all_its_reasons():
    low = np.linspace(0.2, 0.8, 30)
    choice = choose_images([scores(0, mIoU=low, FErr=1 - low, MErr=1 - low, DErr=1 - low)], 30, "test")
    assert len(choice.reasons) == 30
    assert choice.reasons[0] == ("evenly spaced", "lowest mIoU", "highest FErr", "highest MErr", "highest DErr")
    assert choice.reasons[29] == ("evenly spaced", "highest mIoU")
    assert choice.rule == "30 of 30 test images, evenly spaced"


def test_undefined_scores_are_never_an_end():
    first, second = np.full(30, 0.5), np.full(30, 0.5)
    first[4], second[4] = math.nan, math.nan
    first[7], second[7] = math.nan, 0.9
    reasons = by_reason(choose_images([scores(0, FErr=first), scores(1, FErr=second)], 1, "validation"))
    assert reasons["highest FErr"] == 7
    equal = by_reason(choose_images([scores(0, FErr=np.where(np.arange(30) == 4, math.nan, 0.5))], 1, "validation"))
    assert "highest FErr" not in equal and "highest MErr" in equal


def test_few_images_are_not_the_best_and_the_worst_at_once():
    two = {name: of for name, of in list(scores(0).items())[:2]}
    assert {*by_reason(choose_images([two], 4, "validation"))} >= {"lowest mIoU", "highest mIoU"}
    assert "second lowest mIoU" not in by_reason(choose_images([two], 4, "validation"))
    one = {"alone": scores(0)["image 0"]}
    assert choose_images([one], 4, "validation").reasons == {0: ("evenly spaced",)}


def test_scores_of_different_images_are_refused():
    with pytest.raises(ValueError, match="different images; their numbers are 30, 29"):
        choose_images([scores(0), dict(list(scores(1).items())[1:])], 4, "validation")
    with pytest.raises(ValueError, match="at least one variant"):
        choose_images([], 4, "validation")
