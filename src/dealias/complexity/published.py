# SPDX-License-Identifier: Apache-2.0
"""Published costs of fusions in a feature pyramid of 256 channels, beside which ours are printed.

What three fusions add to Panoptic FPN with ResNet-50, as the authors of FreqFusion print it where they compare
upsamplers (TPAMI 2024, arXiv:2408.12879).
"""

from __future__ import annotations

PAPER = "arXiv:2408.12879"

PARAMETERS: dict[str, str] = {
    "deconv": "1.8 M",
    "pixel_shuffle": "7.1 M",
    "carafe": "0.2 M",
    "indexnet": "6.3 M",
    "a2u": "29.2 K",
    "fade": "0.1 M",
    "sapa": "0.1 M",
    "dysample+": "49.2 K",
    "dysample-s+": "6.2 K",
    "freqfusion": "0.3 M",
}
"""Parameters of three fusions, by the name of the fusion, as printed."""

NOTES: dict[str, str] = {
    "a2u": "the published number counts the weights of the convolutions alone, 29,184",
}
"""Why a number of ours is not the published one."""

_UNITS = {"K": 1e3, "M": 1e6}


def agrees(count: int, published: str) -> bool:
    """Whether ``count``, rounded as the published number is, prints as that number.

    >>> agrees(49_248, "49.2 K"), agrees(32_370, "29.2 K")
    (True, False)
    """
    number, _, unit = published.partition(" ")
    decimals = len(number.partition(".")[2])
    return f"{count / _UNITS[unit]:.{decimals}f}" == number
