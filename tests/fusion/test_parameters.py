# SPDX-License-Identifier: Apache-2.0
"""Published parameter counts: what three fusions add to a feature pyramid of 256 channels."""

import pytest

from dealias.fusion import create_fusion, list_fusions

PYRAMID_256 = {
    "nearest": 0,
    "bilinear": 0,
    "deconv": 1_770_240,
    "pixel_shuffle": 7_080_960,
    "carafe": 222_444,
    "indexnet": 6_300_672,
    "a2u": 32_370,
    "fade": 142_542,
    "sapa": 101_760,
    "dysample": 24_672,
    "dysample+": 49_248,
    "dysample-s+": 6_192,
    "freqfusion": 314_070,
}


@pytest.mark.parametrize("name", PYRAMID_256)
def test_pyramid_of_256_channels(name):
    assert 3 * count(name) == PYRAMID_256[name]


def test_every_published_fusion_is_counted():
    assert list(PYRAMID_256) == [name for name in list_fusions() if name in PYRAMID_256]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("indexnet", {"nonlinear": False, "context": False}, 4_096),
        ("indexnet", {"nonlinear": False}, 16_384),
        ("indexnet", {"context": False}, 527_360),
        ("indexnet", {"index": "one_to_one", "nonlinear": False, "context": False}, 4_096),
        ("indexnet", {"index": "one_to_one"}, 19_456),
        ("indexnet", {"index": "many_to_one", "nonlinear": False, "context": False}, 1_048_576),
        ("indexnet", {"index": "many_to_one", "context": False}, 1_312_768),
        ("indexnet", {"index": "many_to_one"}, 4_458_496),
        ("fade", {"gated": False}, 47_257),
        ("fade", {"lite": True}, 13_332),
    ],
)
def test_variants_of_256_channels(name, options, expected):
    assert count(name, **options) == expected


def count(name, **options):
    return sum(parameter.numel() for parameter in create_fusion(name, 256, 256, **options).parameters())
