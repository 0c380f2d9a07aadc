# SPDX-License-Identifier: Apache-2.0
"""Joint transforms of image and mask through ``torchvision.transforms.v2``.

The usual augmentation of segmentation training: random scale, crop with a limit on the largest class, flip, photometric
distortion, normalisation, padding with ignore. Only what v2 lacks is written here, in :mod:`dealias.data.geometry` and
:mod:`dealias.data.photometric`. Everything draws from torch's default generator, so that
:class:`dealias.data.SeededTransform` pairs runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from .geometry import CategoryLimitedCrop, FitImage, JointResize, RandomScale, pair
from .photometric import AddNoise, PhotometricDistortion

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def training_transform(
    crop_size: int | Sequence[int],
    scale: tuple[float, float] = (0.5, 2.0),
    flip: float = 0.5,
    photometric: bool = True,
    max_category_share: float = 0.75,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    ignore_index: int = 255,
    base_size: tuple[int, int] | None = None,
) -> v2.Transform:
    """Augment a sample: scale, crop, flip, distort, normalise, pad to the crop size.

    Padding lies on a random side; it is the mean colour in the image (0 after normalisation) and ``ignore_index`` in
    the mask.

    Args:
        crop_size: height and width of the result, or one side of a square, in pixels.
        scale: smallest and largest factor of the random scale.
        flip: probability of a horizontal flip.
        photometric: distort colours, see :class:`~dealias.data.photometric.PhotometricDistortion`.
        max_category_share: largest share of one class in a crop, see
            :class:`~dealias.data.geometry.CategoryLimitedCrop`.
        mean: of each channel, subtracted, on the scale 0 to 1.
        std: of each channel, divided by.
        ignore_index: id of pixels that count nowhere.
        base_size: what the random scale multiplies: the longer and the shorter side, in pixels, into which images are
            fitted; ``None``: the images' own size.

    Returns:
        A transform of samples: image to float32 [3, *crop_size], mask to int64 of the same size.

    Raises:
        ValueError: a value out of range.
    """
    size = pair(crop_size, "crop_size")
    steps: list[v2.Transform] = [
        RandomScale(scale, base_size),
        CategoryLimitedCrop(size, max_category_share, ignore_index),
        v2.RandomHorizontalFlip(flip),
    ]
    if photometric:
        steps.append(PhotometricDistortion())
    fill = {tv_tensors.Image: 0, tv_tensors.Mask: ignore_index}
    steps += [*normalisation(mean, std), v2.RandomCrop(size, pad_if_needed=True, fill=fill)]
    return v2.Compose(steps)


def evaluation_transform(
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    size: int | Sequence[int] | None = None,
    base_size: tuple[int, int] | None = None,
    noise: float = 0.0,
) -> v2.Transform:
    """Normalise a sample, after it is resized and noise is added if wanted.

    Args:
        mean: of each channel, subtracted, on the scale 0 to 1.
        std: of each channel, divided by.
        size: height and width, or one side of a square, of image and mask; ``None``: unchanged.
        base_size: longer and shorter side, in pixels, into which the image is fitted, while the mask keeps its size, at
            which predictions are then scored; ``None``: unchanged. Published results on ADE20K and VOC 2012 are of
            images fitted into (2048, 512).
        noise: standard deviation of Gaussian noise in grey levels (of 0 to 255), to test how robust a network is, see
            :class:`~dealias.data.photometric.AddNoise`.

    Returns:
        A transform of samples: image to float32, mask to int64.

    Raises:
        ValueError: a value out of range, or both sizes.
    """
    if size is not None and base_size is not None:
        raise ValueError(f"give either size or base_size, got {size} and {tuple(base_size)}")
    steps: list[v2.Transform] = []
    if size is not None:
        steps.append(JointResize(pair(size, "size")))
    if base_size is not None:
        steps.append(FitImage(base_size))
    if noise:
        steps.append(AddNoise(noise))
    return v2.Compose([*steps, *normalisation(mean, std)])


def normalisation(mean: Sequence[float], std: Sequence[float]) -> list[v2.Transform]:
    """The steps that every transform of images ends with: to float32 of 0 to 1, less the mean, by the deviation.

    Raises:
        ValueError: not three values each, or a deviation that is not positive.
    """
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(f"mean and std must have three values each, std positive, got {tuple(mean)} and {tuple(std)}")
    dtypes = {tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}
    return [v2.ToDtype(dtypes, scale=True), v2.Normalize(list(mean), list(std))]
