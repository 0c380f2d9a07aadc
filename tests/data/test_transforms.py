# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from dealias.data import evaluation_transform, training_transform
from dealias.data.geometry import CategoryLimitedCrop, RandomScale

RAW = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def sample_of(mask: torch.Tensor, image: torch.Tensor | None = None) -> dict:
    """A sample whose image shows the mask: gray 20 times the id."""
    image = (20 * mask).expand(3, *mask.shape) if image is None else image
    return {"image": tv_tensors.Image(image.to(torch.uint8)), "mask": tv_tensors.Mask(mask), "name": "x"}


def blocks(height: int, width: int, side: int = 16) -> torch.Tensor:
    """Blocks of random ids 0 to 5."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(6, (-(-height // side), -(-width // side)), generator=generator, dtype=torch.uint8)
    return ids.repeat_interleave(side, 0).repeat_interleave(side, 1)[:height, :width]


def uniform_around(labels: np.ndarray, reach: int) -> np.ndarray:
    """Where all labels within ``reach`` are equal (on the inner part)."""
    windows = np.lib.stride_tricks.sliding_window_view(labels, (2 * reach + 1, 2 * reach + 1))
    return windows.min((2, 3)) == windows.max((2, 3))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_training_gives_normalised_crops(dtype):
    out = training_transform((48, 64))(sample_of(blocks(90, 70).to(dtype)))
    assert isinstance(out["image"], tv_tensors.Image) and isinstance(out["mask"], tv_tensors.Mask)
    assert out["image"].dtype == torch.float32 and out["image"].shape == (3, 48, 64)
    assert out["mask"].dtype == torch.int64 and out["mask"].shape == (48, 64)
    assert out["name"] == "x"


@pytest.mark.parametrize("seed", range(12))
def test_image_and_mask_stay_together(seed):
    torch.manual_seed(seed)
    out = training_transform(80, photometric=False, **RAW)(sample_of(blocks(100, 60)))
    labels = out["mask"].numpy()
    known = uniform_around(labels, 2) & (labels[2:-2, 2:-2] != 255)
    shown = (out["image"].numpy() * 255 / 20)[:, 2:-2, 2:-2]
    assert known.mean() > 0.05 and len(np.unique(labels)) > 2
    assert np.abs(shown - labels[2:-2, 2:-2])[:, known].max() < 0.1
    assert (out["image"][:, out["mask"] == 255] == 0).all()


@pytest.mark.parametrize("factor", [1 / 3, 0.8, 1.7, 2.0])
def test_scaling_moves_mask_and_image_alike(factor):
    ramp = torch.arange(200, dtype=torch.uint8).expand(120, 200)
    for columns in (ramp, ramp.flip(1)):
        sample = sample_of(columns, columns.expand(3, 120, 200))
        transform = training_transform(90, scale=(factor, factor), flip=0.0, photometric=False, **RAW)
        torch.manual_seed(0)
        out = transform(sample)
        known = out["mask"] != 255
        difference = (out["image"][0] * 255 - out["mask"])[:, 2:-2][known[:, 2:-2]]
        assert abs(difference.mean()) < 0.15 and difference.abs().max() <= 1.01


def test_padding_is_mean_colour_and_ignored():
    sample = sample_of(torch.ones(20, 30, dtype=torch.uint8))
    out = training_transform(64, scale=(1.0, 1.0), photometric=False, ignore_index=99)(sample)
    assert (out["mask"] == 1).sum() == 20 * 30 and (out["mask"] == 99).sum() == 64 * 64 - 600
    assert (out["image"][:, out["mask"] == 99] == 0).all()
    expected = (20 / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(out["image"][:, out["mask"] == 1].mean(1), expected, atol=1e-5)
    rows, columns = torch.nonzero(out["mask"] == 1).unbind(1)
    assert rows.max() - rows.min() == 19 and columns.max() - columns.min() == 29


def test_padding_lies_on_any_side():
    transform = training_transform(32, scale=(1.0, 1.0), flip=0.0, photometric=False)
    sample = sample_of(torch.ones(31, 31, dtype=torch.uint8))
    torch.manual_seed(0)
    corners = {tuple(torch.nonzero(transform(sample)["mask"] == 1)[0].tolist()) for _ in range(40)}
    assert corners == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_flip_and_scale_follow_their_ranges():
    mask = torch.zeros(50, 50, dtype=torch.uint8)
    mask[:, :25] = 1
    flipped, sides = 0, []
    for seed in range(200):
        torch.manual_seed(seed)
        out = training_transform(120, scale=(0.5, 2.0), photometric=False, max_category_share=1.0)(sample_of(mask))
        row = out["mask"][(out["mask"] != 255).any(1)][0]
        row = row[row != 255]
        flipped += int(row[0] == 0)
        sides.append(len(row))
    assert 75 < flipped < 125
    assert 25 <= min(sides) < 30 and 95 < max(sides) <= 100 and abs(np.mean(sides) - 62.5) < 5


@pytest.mark.parametrize(
    ("size", "base", "scaled"),
    [
        ((375, 500), (2048, 512), (512, 683)),
        ((500, 375), (2048, 512), (683, 512)),
        ((100, 900), (2048, 512), (228, 2048)),
        ((1024, 2048), (2049, 1025), (1025, 2049)),
    ],
)
def test_images_are_fitted_into_the_base_size(size, base, scaled):
    sample = sample_of(torch.zeros(size, dtype=torch.uint8))
    out = evaluation_transform(base_size=base)(sample)
    assert out["image"].shape[1:] == scaled and out["mask"].shape == size, "scores are of the labels' own grid"
    for factor in (0.5, 1.5):
        out = RandomScale((factor, factor), base)(sample)
        assert out["image"].shape[1:] == out["mask"].shape
        assert np.abs(np.array(out["mask"].shape) - factor * np.array(scaled)).max() <= 0.5 + 0.5 * factor
    out = training_transform(64, base_size=base, max_category_share=1.0)(sample)
    assert out["image"].shape[1:] == out["mask"].shape == (64, 64)


def test_crops_limit_the_largest_class():
    mask = torch.zeros(100, 100, dtype=torch.uint8)
    mask[:, 60:] = 1
    crop = CategoryLimitedCrop((32, 32), 0.75)
    torch.manual_seed(0)
    shares = [(crop(sample_of(mask))["mask"] == 0).float().mean().item() for _ in range(100)]
    assert sum(0.25 < share < 0.75 for share in shares) > 90
    free = CategoryLimitedCrop((32, 32), 1.0)
    shares = [(free(sample_of(mask))["mask"] == 0).float().mean().item() for _ in range(100)]
    assert sum(0.25 < share < 0.75 for share in shares) < 50


@pytest.mark.parametrize("limit", [0.5, 0.75, 0.95])
def test_crop_takes_the_first_good_position_of_ten(limit):
    mask = blocks(64, 72, side=12)
    mask[:30, :40] = 255
    mask[40:, 20:] = 3
    for seed in range(30):
        torch.manual_seed(seed)
        crop = CategoryLimitedCrop((24, 20), limit)(sample_of(mask))["mask"]
        torch.manual_seed(seed)
        for _ in range(10):
            top, left = int(torch.randint(41, ())), int(torch.randint(53, ()))
            expected = mask[top : top + 24, left : left + 20]
            counts = [int((expected == i).sum()) for i in range(6)]
            if sum(counts) and max(counts) / sum(counts) < limit:
                break
        assert torch.equal(crop, expected)


def test_evaluation_normalises_and_resizes_if_asked():
    sample = sample_of(blocks(40, 60))
    out = evaluation_transform()(sample)
    assert out["mask"].dtype == torch.int64 and torch.equal(out["mask"], sample["mask"].long())
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (sample["image"] / 255 - mean[:, None, None]) / std[:, None, None]
    assert torch.allclose(out["image"], expected, atol=1e-5)
    resized = evaluation_transform(size=(20, 30))(sample)
    assert resized["image"].shape == (3, 20, 30) and resized["mask"].shape == (20, 30)
    assert set(resized["mask"].unique().tolist()) <= set(range(6))


def test_one_size_is_enough():
    with pytest.raises(ValueError, match="either size or base_size"):
        evaluation_transform(size=64, base_size=(64, 64))


def test_transforms_are_v2_and_print_their_settings():
    transform = training_transform(32)
    assert isinstance(transform, v2.Transform)
    assert "CategoryLimitedCrop" in repr(transform) and "max_category_share=0.75" in repr(transform)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_size": 0}, "crop_size must be positive"),
        ({"scale": (2.0, 0.5)}, "scale must be"),
        ({"max_category_share": 0.0}, "max_category_share"),
        ({"std": (1.0, 0.0, 1.0)}, "std positive"),
        ({"mean": (0.0,)}, "three values"),
        ({"base_size": (512, 2048)}, "the longer, then the shorter side"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        training_transform(**{"crop_size": 32, **options})
