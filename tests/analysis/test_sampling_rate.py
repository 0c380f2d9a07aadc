# SPDX-License-Identifier: Apache-2.0
import math

import pytest
from torch import nn

from dealias.analysis import equivalent_sampling_rate

HALF = math.sqrt(2) / 2

LAYERS = {
    "doubling": (nn.Conv2d(64, 128, 3, stride=2), HALF),
    "shortcut": (nn.Conv2d(64, 128, 1, stride=2), 0.5),
    "bottleneck": (nn.Conv2d(128, 128, 3, stride=2), 0.5),
    "stem": (nn.Conv2d(3, 64, 7, stride=2), math.sqrt(64 / 3) / 2),
    "kernel is the bound": (nn.Conv2d(3, 768, 4, stride=4), 1.0),
    "patches": (nn.Conv2d(3, 96, 4, stride=4), 1.0),
    "depthwise": (nn.Conv2d(32, 32, 5, stride=2, groups=32), 0.5),
    "rows only": (nn.Conv2d(8, 8, 3, stride=(4, 1)), 0.25),
    "fewer channels": (nn.Conv2d(64, 16, 3, stride=2), 0.25),
    "max pool": (nn.MaxPool2d(3, stride=2), 0.5),
    "pool without stride": (nn.AvgPool2d(4), 0.25),
    "power pool": (nn.LPPool2d(2, 2), 0.5),
    "power pool with stride": (nn.LPPool2d(2, (3, 3), stride=(3, 2)), 1 / 3),
    "no stride": (nn.MaxPool2d(3, stride=1), 1.0),
}


@pytest.mark.parametrize(("layer", "rate"), LAYERS.values(), ids=LAYERS)
def test_rate_of_layers(layer, rate):
    assert equivalent_sampling_rate(layer) == pytest.approx(rate)


def test_rate_of_numbers():
    assert equivalent_sampling_rate() == pytest.approx(HALF)
    assert equivalent_sampling_rate(kernel=1, stride=2, in_channels=4, out_channels=64) == 0.5
    assert equivalent_sampling_rate(3, 4, 8, 8) == 0.25


def test_other_layers_and_numbers_are_refused():
    with pytest.raises(ValueError, match=r"Conv2d, MaxPool2d, AvgPool2d, LPPool2d; got Linear"):
        equivalent_sampling_rate(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"stride=0"):
        equivalent_sampling_rate(3, 0, 1, 1)
