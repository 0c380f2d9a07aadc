# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from dealias.data import TEXTURES, TextureBand, TextureFrequencies, TextureStyle

PLAIN = TextureStyle(contrast=(0.1, 0.1), diameter=(0.9, 0.9), background=0.0, noise=0.0)


def spectrum(image):
    """Power by frequency and direction (degrees, 0 to 180) of an image, without its mean."""
    gray = image.as_subclass(torch.Tensor).double().mean(0).numpy()
    power = np.abs(np.fft.fft2(gray - gray.mean())) ** 2
    fy, fx = np.meshgrid(np.fft.fftfreq(gray.shape[0]), np.fft.fftfreq(gray.shape[1]), indexing="ij")
    return power, np.hypot(fy, fx), np.degrees(np.arctan2(fy, fx)) % 180


@pytest.mark.parametrize("size", [(64, 64), (48, 75)])
def test_power_is_in_the_band_of_the_class(size):
    textures = TextureFrequencies(16, size, style=PLAIN, seed=3)
    for index in range(16):
        sample = textures[index]
        band = TEXTURES[sample["label"]]
        power, frequency, direction = spectrum(sample["image"])
        away = abs((direction - band.direction + 90) % 180 - 90)
        # the soft edge of the area widens the band by about the inverse of its diameter
        near = (frequency > band.low - 0.05) & (frequency < band.high + 0.05)
        assert power[near].sum() > 0.95 * power.sum(), band.name
        mean = (power * frequency).sum() / power.sum()
        assert band.low - 0.01 < mean < band.high + 0.01, band.name
        assert (power * (away < 45)).sum() > 0.95 * power.sum(), band.name


def test_a_step_of_two_folds_one_class_onto_another():
    by_name = {band.name: band for band in TEXTURES}
    for fine, coarse in (("fine", "medium"), ("finest", "coarse")):
        for way in ("across", "down"):
            high, low = by_name[f"{fine} {way}"], by_name[f"{coarse} {way}"]
            assert (0.5 - high.high, 0.5 - high.low) == pytest.approx((low.low, low.high))
            assert high.low > 0.25 > low.high and high.direction == low.direction


def test_colours_and_background_do_not_tell_the_class():
    textures = TextureFrequencies(400)
    means = np.array([textures[i]["image"].as_subclass(torch.Tensor).float().mean((1, 2)).numpy() for i in range(400)])
    labels = np.array([textures[i]["label"] for i in range(400)])
    of_classes = np.array([means[labels == label].mean(0) for label in range(8)])
    deviation = means.std(0) / np.sqrt(50)
    assert (abs(of_classes - means.mean(0)) < 4 * deviation).all()
    gray = textures[0]["image"].as_subclass(torch.Tensor)
    power, frequency, _ = spectrum(gray)
    assert power[frequency < 0.05].sum() > power[frequency > 0.05].sum(), "the background is stronger than the texture"


def test_images_depend_on_seed_and_index_only():
    first, again, other = TextureFrequencies(9), TextureFrequencies(20), TextureFrequencies(9, seed=1)
    np.random.seed(5)
    for index in (8, 0):
        assert torch.equal(first[index]["image"], again[index]["image"])
        assert not torch.equal(first[index]["image"], other[index]["image"])
    assert not torch.equal(first[0]["image"], first[8]["image"]) and first[0]["label"] == first[8]["label"]
    assert [first[i]["label"] for i in range(9)] == [*range(8), 0]
    assert first[8]["name"] == "texture_0_000008" and first[0]["image"].dtype == torch.uint8
    with pytest.raises(IndexError):
        first[9]


def test_classes_are_the_bands():
    bands = [TextureBand("low", 0.1, 0.2, 0), TextureBand("high", 0.3, 0.4, 45, spread=30)]
    textures = TextureFrequencies(2, bands=bands, style=PLAIN)
    assert textures.classes == ("low", "high") and textures[1]["label"] == 1
    power, frequency, _ = spectrum(textures[1]["image"])
    assert power[frequency > 0.25].sum() > 0.95 * power.sum()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": -1}, "must not be negative, got -1"),
        ({"seed": -2}, "must not be negative, got 3 and -2"),
        ({"size": (16, 64)}, "at least 32x32, got"),
        ({"bands": ()}, "at least one class"),
        ({"bands": [TextureBand("thin", 0.1001, 0.1002, 0, spread=0.1)]}, "no frequency in the band .*thin"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TextureFrequencies(**{"length": 3, **arguments})


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.1), (0.3, 0.2), (0.4, 0.6)])
def test_bands_out_of_range_are_refused(low, high):
    with pytest.raises(ValueError, match=r"band 'x' needs 0 < low < high <= 0\.5"):
        TextureBand("x", low, high, 0)
