# SPDX-License-Identifier: Apache-2.0
"""DySample (ICCV 2023, arXiv:2308.15085) under its published name, signature and state-dict keys."""

from __future__ import annotations

from torch import Tensor

from .. import fusion
from .naming import alias

_STYLES = {"lp": "linear_first", "pl": "shuffle_first"}


class DySample(fusion.DySample):
    """The published module: ``forward(x)`` with x [B, in_channels, H, W] gives [B, in_channels, H*scale, W*scale].

    Args:
        in_channels: channels of the map, divisible by ``groups`` and, with ``"pl"``, by ``scale**2``.
        scale: ratio of sizes.
        style: ``"lp"``: linear, then pixel shuffle; ``"pl"``: pixel shuffle, then linear.
        groups: channel groups with offsets of their own.
        dyscope: predict the scope of the offsets.

    Raises:
        ValueError: an unknown style, or channels that cannot be divided.
    """

    positions = alias("init_pos")

    def __init__(
        self, in_channels: int, scale: int = 2, style: str = "lp", groups: int = 4, dyscope: bool = False
    ) -> None:
        if style not in _STYLES:
            raise ValueError(f"DySample: style must be 'lp' or 'pl', got {style!r}")
        super().__init__(in_channels, in_channels, scale, _STYLES[style], groups, dyscope)
        self.register_buffer("init_pos", self._buffers.pop("positions"))

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # the published call takes one map
        """Upsample x [B, in_channels, H, W] to [B, in_channels, H*scale, W*scale]."""
        return self.upsample(x, (x.shape[-2] * self.scale, x.shape[-1] * self.scale))
