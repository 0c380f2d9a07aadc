# SPDX-License-Identifier: Apache-2.0
"""Photographs in low light made from normal ones, to train on data that is not dark.

The camera's processing is undone as far as colours go (Brooks et al. 2019, arXiv:1811.11127), less light is recorded
with the noise of the sensor, and the colours are processed again:

1. The sRGB curve is inverted: values in proportion to light.
2. The white balance is taken out: the sensor sees less red and blue, which therefore become noisier.
3. Each pixel collects a Poisson number of electrons around ``exposure x light x full well`` (shot noise), and reading
   it adds Gaussian noise of a few electrons.
4. The converter rounds to integers of ``bits`` bits, above a black level that keeps negative noise.
5. Signal gain, white balance with an error, as estimated from a dark image, and the sRGB curve, to 8 bits.

There is no mosaic of colours and no other processing, so that noise is independent in every pixel and channel.
Everything draws from torch's default generator, so that :class:`dealias.data.SeededSamples` pairs runs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

Range = tuple[float, float]


class LowLight(v2.Transform):
    """Make images as a camera takes them in low light; boxes and masks stay.

    Ranges are (smallest, largest), drawn from for each image: ``exposure`` and ``full_well`` evenly in their logarithm,
    the others evenly.

    Args:
        exposure: light that is collected, relative to the image given.
        full_well: electrons that a white pixel of the image given collects; fewer mean more noise.
        read_noise: standard deviation of the read noise in electrons.
        red_gain: factor of the white balance on red.
        blue_gain: factor of the white balance on blue.
        white_balance_error: largest relative error of these factors afterwards.
        bits: of the converter.
        brighten: undo the loss of light by a gain on signal and noise; otherwise the image is dark.
        probability: of changing an image at all.

    Raises:
        ValueError: a value out of range.
    """

    _transformed_types = (tv_tensors.Image,)

    def __init__(
        self,
        exposure: Range = (0.01, 0.1),
        full_well: Range = (1000.0, 10000.0),
        read_noise: Range = (2.0, 6.0),
        red_gain: Range = (1.9, 2.4),
        blue_gain: Range = (1.5, 1.9),
        white_balance_error: float = 0.05,
        bits: int = 14,
        brighten: bool = False,
        probability: float = 1.0,
    ) -> None:
        super().__init__()
        positive = {"exposure": exposure, "full_well": full_well, "red_gain": red_gain, "blue_gain": blue_gain}
        for name, (low, high) in {**positive, "read_noise": read_noise}.items():
            if not 0 <= low <= high or (name in positive and low == 0):
                raise ValueError(f"{name} must be 0 < smallest <= largest, got {(low, high)}")
        if not 0 <= white_balance_error < 1 or not 0 <= probability <= 1 or not 1 <= bits <= 16:
            found = f"{white_balance_error}, {probability} and {bits}"
            raise ValueError(f"white_balance_error and probability must be 0 to 1 and bits 1 to 16, got {found}")
        self.exposure, self.full_well, self.read_noise = exposure, full_well, read_noise
        self.red_gain, self.blue_gain, self.white_balance_error = red_gain, blue_gain, white_balance_error
        self.bits, self.brighten, self.probability = bits, brighten, probability

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the camera and the light."""
        changed = bool(torch.rand(()) < self.probability)
        exposure, full_well = _log_uniform(*self.exposure), _log_uniform(*self.full_well)
        gains = torch.tensor([_uniform(*self.red_gain), 1.0, _uniform(*self.blue_gain)]).view(3, 1, 1)
        error = torch.empty(3, 1, 1).uniform_(-self.white_balance_error, self.white_balance_error)
        error[1] = 0  # only the ratios to green are estimated
        gain = 1 / exposure if self.brighten else 1.0
        return {
            "changed": changed,
            "exposure": exposure,
            "full_well": full_well,
            "read_noise": _uniform(*self.read_noise),
            "white_balance": gains,
            "processing": gain * gains * (1 + error),
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Darken an image of any type, [..., 3, H, W]."""
        if not params["changed"]:
            return inpt
        image = F.to_dtype(inpt.as_subclass(Tensor), torch.float32, scale=True)
        light = params["exposure"] * srgb_to_linear(image) / params["white_balance"]
        raw = record_light(light, params["full_well"], params["read_noise"], self.bits)
        taken = linear_to_srgb((raw * params["processing"]).clamp(0, 1))
        eight_bits = (taken * 255).round().to(torch.uint8)
        return tv_tensors.wrap(F.to_dtype(eight_bits, inpt.dtype, scale=True), like=inpt)


def record_light(light: Tensor, full_well: float, read_noise: float, bits: int) -> Tensor:
    """What a sensor reads, with shot noise, read noise and rounding.

    The mean is ``light``, the variance ``light / full_well + (read_noise / full_well) ** 2`` before rounding.

    Args:
        light: relative to a full well, 0 to 1, any shape.
        full_well: electrons at 1.
        read_noise: standard deviation in electrons.
        bits: of the converter; the step is 1 / (2 ** bits - 1).

    Returns:
        The same shape, float32, at most 1; may be negative.
    """
    electrons = torch.poisson(light * full_well) + read_noise * torch.randn(light.shape)
    steps = 2**bits - 1
    return (electrons / full_well * steps).round().clamp(max=steps) / steps


def srgb_to_linear(image: Tensor) -> Tensor:
    """Values in proportion to light from values of sRGB, both 0 to 1 (IEC 61966-2-1).

    >>> srgb_to_linear(torch.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 0.2140, 1.0000])
    """
    return torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: Tensor) -> Tensor:
    """The inverse of :func:`srgb_to_linear`."""
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def _uniform(low: float, high: float) -> float:
    return torch.empty(()).uniform_(low, high).item()


def _log_uniform(low: float, high: float) -> float:
    return math.exp(_uniform(math.log(low), math.log(high)))
