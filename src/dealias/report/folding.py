# SPDX-License-Identifier: Apache-2.0
"""The panel of folded power: a zone plate through each filter, before and after every second sample is kept."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dealias.analysis import FILTERS, folded_power, kept_band, zone_plate
from dealias.analysis.folding import LowPass

from .canvas import Tile, draw_grid


def render_folding(filters: Mapping[str, LowPass] = FILTERS, stride: int = 2, size: int = 256) -> Image.Image:
    """Draw the zone plate after each filter, and below it what is left of it at ``stride``.

    Rings around other centres than the middle are frequencies that folded. The captions are exact for white noise: the
    share of the filtered signal that folds, and the share of the remaining band that the filter keeps.

    Args:
        filters: by caption.
        stride: every how many samples one is kept.
        size: side of the zone plate in pixels.
    """
    plate = zone_plate(size)
    above, below = [], []
    for name, lowpass in filters.items():
        filtered = lowpass.apply(plate)
        above.append(Tile(_grey(filtered), name, "filtered"))
        numbers = f"keeps {100 * kept_band(lowpass, stride):.0f} % of the band"
        below.append(
            Tile(_grey(filtered[::stride, ::stride]), f"folds {100 * folded_power(lowpass, stride):.0f} %", numbers)
        )
    subtitle = f"Zone plate, frequency 0 in the middle to 0.5 cycles per sample at the edges; below: at stride {stride}"
    return draw_grid("What folds at a strided layer", subtitle, [above, below], width=size)


def _grey(values: Tensor) -> NDArray[np.uint8]:
    """Values -1 to 1, [H, W], as grey levels [H, W, 3]."""
    levels = ((values.clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
    return np.repeat(levels[..., None], 3, axis=2)
