# SPDX-License-Identifier: Apache-2.0
"""Transforms that change colours: the distortion of published recipes, and noise to test robustness with.

Everything draws from torch's default generator, so that :class:`dealias.data.SeededTransform` pairs runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F


class PhotometricDistortion(v2.Transform):
    """Change brightness, contrast, saturation and hue, each with probability one half (SSD, arXiv 1512.02325, 2.2).

    In this order, or with contrast last (either order with probability one half): add -32 to 32 grey levels, multiply
    by 0.5 to 1.5, multiply the saturation (of HSV) by 0.5 to 1.5, turn the hue by -36 to 36 degrees. Values are cut to
    their range after each step. This is what segmentation recipes mean by it; ``v2.RandomPhotometricDistort``
    multiplies where brightness is added here, and blends with grey where contrast and saturation are multiplied.
    """

    _transformed_types = (tv_tensors.Image,)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the changes; ``None`` is no change."""
        return {
            "brightness": _maybe(-32 / 255, 32 / 255),
            "contrast": _maybe(0.5, 1.5),
            "saturation": _maybe(0.5, 1.5),
            "hue": _maybe(-0.1, 0.1),
            "contrast_last": bool(torch.rand(()) < 0.5),
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Distort an image of any type, [..., 3, H, W]."""
        image = F.to_dtype(inpt.as_subclass(Tensor), torch.float32, scale=True)
        if params["brightness"] is not None:
            image = (image + params["brightness"]).clamp(0.0, 1.0)
        if params["contrast"] is not None and not params["contrast_last"]:
            image = (image * params["contrast"]).clamp(0.0, 1.0)
        if params["saturation"] is not None:
            image = scale_saturation(image, params["saturation"])
        if params["hue"] is not None:
            image = F.adjust_hue(image, params["hue"])
        if params["contrast"] is not None and params["contrast_last"]:
            image = (image * params["contrast"]).clamp(0.0, 1.0)
        return tv_tensors.wrap(F.to_dtype(image, inpt.dtype, scale=True), like=inpt)


class AddNoise(v2.Transform):
    """Add Gaussian noise, as a camera has it: independent in every pixel and channel, cut and rounded to 8 bits.

    Args:
        sigma: standard deviation in grey levels, of 0 to 255.
    """

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, sigma: float) -> None:
        super().__init__()
        if not sigma >= 0:
            raise ValueError(f"sigma must not be negative, got {sigma}")
        self.sigma = float(sigma)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Add noise to an image, uint8.

        Raises:
            ValueError: another type, whose grey levels are not known.
        """
        if inpt.dtype != torch.uint8:
            raise ValueError(
                f"noise is added to images of 8 bits (uint8), before they are normalised; got {inpt.dtype}"
            )
        noisy = inpt.as_subclass(Tensor) + self.sigma * torch.randn(inpt.shape)
        return tv_tensors.wrap(noisy.round().clamp(0, 255).to(torch.uint8), like=inpt)


def scale_saturation(image: Tensor, factor: float) -> Tensor:
    """Multiply the saturation of HSV, up to full saturation, and keep hue and value.

    Args:
        image: RGB in 0 to 1, [..., 3, H, W], float.
        factor: not negative.

    >>> scale_saturation(torch.tensor([0.8, 0.6, 0.4]).view(3, 1, 1), 0.5).flatten()
    tensor([0.8000, 0.7000, 0.6000])
    """
    value = image.amax(dim=-3, keepdim=True)
    depth = value - image
    # The saturation is the depth of the darkest channel over the value, and cannot be more than 1.
    most = value / depth.amax(dim=-3, keepdim=True).clamp(min=torch.finfo(image.dtype).eps)
    return value - depth * most.clamp(max=factor)


def _maybe(low: float, high: float) -> float | None:
    """A uniform number with probability one half."""
    number = torch.empty(()).uniform_(low, high).item()
    return number if torch.rand(()) < 0.5 else None
