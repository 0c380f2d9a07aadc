# SPDX-License-Identifier: Apache-2.0
"""The published variants of FreqFusion, as presets of its options.

Both have the published classes' ``direction_feat="sim"``. The published DWT-FF class ends with attention, but its table
reports the wavelet transform alone, which is ``dwt-ff``, before both together: ``dwt-ff`` with ``attention="full"``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .base import Fusion
from .freqfusion import FreqFusion


def _preset(summary: str, **options: Any) -> Callable[..., Fusion]:
    """FreqFusion with other defaults, described by ``summary``."""
    method = partial(FreqFusion, direction_feat="sim", **options)
    method.__doc__ = summary
    return method


DSCONV_FF = _preset("FreqFusion with separable encoders.", encoder="separable")
DWT_FF = _preset("FreqFusion whose encoders see a Haar wavelet transform of the fine guide.", decomposition="haar")
