# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from dealias.data import AddNoise, SeededTransform, SyntheticScenes, evaluation_transform
from dealias.data.photometric import PhotometricDistortion, scale_saturation

NONE = {"brightness": None, "contrast": None, "saturation": None, "hue": None, "contrast_last": False}


def image_of(*colours: tuple[int, int, int]) -> tv_tensors.Image:
    """One pixel of each colour."""
    return tv_tensors.Image(torch.tensor(colours, dtype=torch.uint8).T[:, None])


def distorted(image, **changes):
    return PhotometricDistortion().transform(image, {**NONE, **changes})


def colours_of(image) -> list[tuple[int, ...]]:
    return [tuple(column) for column in image[:, 0].T.tolist()]


def test_brightness_is_added_and_contrast_multiplied():
    image = image_of((0, 100, 250), (40, 40, 40))
    assert colours_of(distorted(image)) == colours_of(image)
    assert colours_of(distorted(image, brightness=32 / 255)) == [(32, 132, 255), (72, 72, 72)]
    assert colours_of(distorted(image, brightness=-32 / 255)) == [(0, 68, 218), (8, 8, 8)]
    assert colours_of(distorted(image, contrast=1.5)) == [(0, 150, 255), (60, 60, 60)]


def test_contrast_comes_before_or_after_saturation():
    image, changes = image_of((200, 100, 50)), {"contrast": 1.5, "saturation": 0.5}
    # First to (255, 150, 75), whose distances to 255 are halved; or those of (200, 100, 50) to 200, and then times 1.5.
    assert colours_of(distorted(image, **changes)) == [(255, 203, 165)]
    assert colours_of(distorted(image, **changes, contrast_last=True)) == [(255, 225, 188)]


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.5])
def test_saturation_is_that_of_hsv(factor):
    colours = np.random.default_rng(0).random((3, 50, 1))
    colours[:, 0] = 0.0
    colours[:, 1] = 0.3
    found = scale_saturation(torch.tensor(colours), factor).numpy()
    for before, after in zip(colours[..., 0].T, found[..., 0].T, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        assert after == pytest.approx(colorsys.hsv_to_rgb(hue, min(1.0, factor * saturation), value), abs=1e-9)


def test_hue_turns_by_parts_of_the_circle():
    ((red, green, blue),) = colours_of(distorted(image_of((200, 100, 100)), hue=0.1))
    expected = colorsys.hsv_to_rgb(0.1, 0.5, 200 / 255)
    assert (red, green, blue) == pytest.approx([255 * value for value in expected], abs=1.5)


def test_every_change_is_drawn_with_probability_one_half_from_its_range():
    drawn = [PhotometricDistortion().make_params([]) for _ in range(400)]
    ranges = {"brightness": (-32 / 255, 32 / 255), "contrast": (0.5, 1.5), "saturation": (0.5, 1.5), "hue": (-0.1, 0.1)}
    for name, (low, high) in ranges.items():
        numbers = [params[name] for params in drawn if params[name] is not None]
        assert 160 < len(numbers) < 240
        span = high - low
        assert low <= min(numbers) < low + 0.05 * span and high - 0.05 * span < max(numbers) <= high
    assert 160 < sum(params["contrast_last"] for params in drawn) < 240


@pytest.mark.parametrize("transform", [PhotometricDistortion(), AddNoise(20)])
def test_masks_and_types_stay(transform):
    sample = SyntheticScenes(1)[0]
    for _ in range(5):
        out = transform(sample)
        assert isinstance(out["image"], tv_tensors.Image) and out["image"].dtype == torch.uint8
        assert torch.equal(out["mask"], sample["mask"]) and out["name"] == sample["name"]
    assert not torch.equal(out["image"], sample["image"])


@pytest.mark.parametrize("sigma", [5.0, 20.0])
def test_noise_is_gaussian_with_its_sigma(sigma):
    gray = tv_tensors.Image(torch.full((3, 200, 200), 128, dtype=torch.uint8))
    noise = (AddNoise(sigma)(gray).double() - 128).flatten().numpy()
    assert noise.std() == pytest.approx(np.sqrt(sigma**2 + 1 / 12), rel=0.02) and abs(noise.mean()) < 0.02 * sigma
    assert (noise**4).mean() / noise.std() ** 4 == pytest.approx(3, rel=0.05), "the kurtosis of a Gaussian"
    planes = noise.reshape(3, -1)
    assert np.abs(np.corrcoef(planes) - np.eye(3)).max() < 0.03, "channels have noise of their own"


def test_noise_is_cut_at_black_and_white():
    black = AddNoise(20)(tv_tensors.Image(torch.zeros(3, 100, 100, dtype=torch.uint8)))
    assert (black == 0).float().mean() == pytest.approx(0.51, abs=0.02) and black.max() < 128


def test_noise_in_evaluation_is_the_same_every_time():
    scenes = SyntheticScenes(2)
    clean, noisy = evaluation_transform(), evaluation_transform(noise=20)
    first, again, other = (SeededTransform(scenes, noisy, seed)[0]["image"] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    levels = 255 * torch.tensor([0.229, 0.224, 0.225])
    difference = (first - SeededTransform(scenes, clean)[0]["image"]).std((1, 2)) * levels
    assert difference.tolist() == pytest.approx([20] * 3, rel=0.1)


def test_bad_noise_is_refused():
    with pytest.raises(ValueError, match="sigma must not be negative, got -1"):
        AddNoise(-1)
    with pytest.raises(ValueError, match=r"uint8.*got torch\.float32"):
        AddNoise(1)(tv_tensors.Image(torch.zeros(3, 4, 4)))
