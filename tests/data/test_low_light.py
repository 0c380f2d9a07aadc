# SPDX-License-Identifier: Apache-2.0
"""The statistics of light, noise and rounding in synthetic low light, and what stays as it was."""

from __future__ import annotations

import pytest
import torch
from torchvision import tv_tensors

from dealias.data import LowLight, SeededSamples, SyntheticObjects
from dealias.data.low_light import linear_to_srgb, record_light, srgb_to_linear

GREY = tv_tensors.Image(torch.full((3, 200, 200), 180, dtype=torch.uint8))


def fixed(**options):
    """A camera without chance but for its noise."""
    camera = {"exposure": (0.05, 0.05), "full_well": (4000, 4000), "read_noise": (5, 5), "white_balance_error": 0}
    return LowLight(**{**camera, "red_gain": (2, 2), "blue_gain": (1.5, 1.5), **options})


@pytest.mark.parametrize("full_well", [200.0, 5000.0])
@pytest.mark.parametrize("light", [0.0, 0.01, 0.3])
def test_mean_and_variance_of_what_a_sensor_reads(light, full_well):
    raw = record_light(torch.full((400, 400), light), full_well, 4.0, bits=16)
    variance = light / full_well + (4 / full_well) ** 2
    assert raw.mean().item() == pytest.approx(light, abs=5 * (variance / raw.numel()) ** 0.5)
    assert raw.var().item() == pytest.approx(variance, rel=0.03)
    assert light > 0 or raw.min() < 0, "the black level keeps negative noise"


def test_the_converter_rounds_and_saturates():
    raw = record_light(torch.linspace(0, 1.2, 500), 1e6, 0.0, bits=3)
    assert torch.allclose(raw * 7, (raw * 7).round(), atol=1e-5) and raw.max() == 1
    assert len(raw.unique()) == 8


def test_srgb_curve_and_its_inverse():
    values = torch.linspace(0, 1, 1001)
    expected = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values.tolist()]
    assert torch.allclose(srgb_to_linear(values), torch.tensor(expected), atol=1e-6)
    assert torch.allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=1e-5)


@pytest.mark.parametrize("brighten", [False, True])
def test_light_of_the_image_is_scaled_and_colours_stay(brighten):
    dark = fixed(brighten=brighten)(GREY)
    assert dark.dtype == torch.uint8 and isinstance(dark, tv_tensors.Image)
    light = srgb_to_linear(dark.as_subclass(torch.Tensor).float() / 255).mean((1, 2))
    expected = srgb_to_linear(torch.tensor(180 / 255)).item() * (1.0 if brighten else 0.05)
    assert light.tolist() == pytest.approx([expected] * 3, rel=0.02)
    noise = dark.as_subclass(torch.Tensor).float().std((1, 2))
    assert noise[0] > noise[2] > noise[1], "red and blue collect less light"
    shares = dark.as_subclass(torch.Tensor).float().flatten(1)
    assert abs(torch.corrcoef(shares)[0, 1]) < 0.03, "channels have noise of their own"


def test_fewer_electrons_mean_more_noise():
    deviations = [fixed(full_well=(n, n))(GREY).float().std().item() for n in (50000, 4000, 500)]
    assert deviations == sorted(deviations) and deviations[2] > 3 * deviations[0]


def test_white_balance_error_changes_the_ratios_of_colours():
    means = [fixed(white_balance_error=0.3, full_well=(1e6, 1e6))(GREY).float().mean((1, 2)) for _ in range(8)]
    green = torch.stack(means)[:, 1]
    red = torch.stack(means)[:, 0] / green
    assert green.std() < 0.2 and red.std() > 0.03


def test_it_is_seeded_and_moves_no_object():
    scenes = SyntheticObjects(2, (64, 64))
    dataset = SeededSamples(scenes, LowLight(), seed=3)
    first, again, later = dataset[(0, 0)], dataset[(0, 0)], dataset[(0, 1)]
    assert torch.equal(first["image"], again["image"]) and not torch.equal(first["image"], later["image"])
    assert first["image"].float().mean() < 0.6 * scenes[0]["image"].float().mean()
    for name in ("boxes", "masks", "labels"):
        assert torch.equal(first["target"][name], scenes[0]["target"][name])


def test_probability_and_types():
    assert torch.equal(LowLight(probability=0)(GREY), GREY)
    small = tv_tensors.Image(GREY[:, :4, :4])
    changed = [not torch.equal(LowLight(probability=0.5)(small), small) for _ in range(40)]
    assert 8 < sum(changed) < 32
    dark = fixed()(tv_tensors.Image(GREY.float() / 255))
    assert dark.dtype == torch.float32 and torch.allclose(dark * 255, (dark * 255).round(), atol=1e-3)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("exposure", (0, 1)),
        ("full_well", (10, 5)),
        ("read_noise", (-1, 1)),
        ("bits", 0),
        ("white_balance_error", 1),
        ("probability", 2),
    ],
)
def test_refused_options(option, value):
    with pytest.raises(ValueError, match=option):
        LowLight(**{option: value})
