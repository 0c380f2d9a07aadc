# SPDX-License-Identifier: Apache-2.0
"""FreqFusion's similarity and offset generator (arXiv:2408.12879) under their published names and state-dict keys."""

from __future__ import annotations

from torch import Tensor

from ..fusion.offsets import initial_positions
from ..fusion.similarity_sampler import SimilaritySampler
from ..ops import local_similarity
from .naming import alias, publish_names


def compute_similarity(input_tensor: Tensor, k: int = 3, dilation: int = 1, sim: str = "cos") -> Tensor:
    """The published similarity, :func:`dealias.ops.local_similarity`: [B, C, H, W] to [B, k*k - 1, H, W].

    Args:
        input_tensor: features, [B, C, H, W].
        k: side of the window, odd.
        dilation: distance of neighbouring taps.
        sim: ``"cos"`` or ``"dot"``.

    Raises:
        ValueError: unknown ``sim``, even ``k``, or not a map.
    """
    if sim not in ("cos", "dot"):
        raise ValueError(f"compute_similarity: sim must be 'cos' or 'dot', got {sim!r}")
    return local_similarity(input_tensor, k, dilation, "cosine" if sim == "cos" else "dot")


class PublishedSampler(SimilaritySampler):
    """The offset generator with published state-dict keys."""

    lr_offset = alias("offset")
    lr_scope = alias("direct_scale")
    hr_scope = alias("hr_direct_scale")
    positions = alias("init_pos")

    def __init__(
        self,
        channels: int,
        groups: int = 4,
        scale: int = 2,
        kernel_size: int = 3,
        local_window: int = 3,
        norm: bool = True,
        dynamic_scope: bool = True,
        direction_feat: str = "sim_concat",
    ) -> None:
        super().__init__(channels, groups, scale, kernel_size, local_window, norm, dynamic_scope, direction_feat)
        publish_names(self, {"lr_offset": "offset", "lr_scope": "direct_scale", "hr_scope": "hr_direct_scale"})
        del self._buffers["positions"]
        self.register_buffer("init_pos", initial_positions(groups, scale))


class LocalSimGuidedSampler(PublishedSampler):
    """The published offset generator: ``forward(hr_x, lr_x, feat2sample)``.

    Args:
        in_channels: channels of both guides.
        scale: ratio of fine to coarse size.
        style: ``"lp"``, the only published one.
        groups: channel groups with offsets of their own.
        use_direct_scale: predict the factor of the offsets; without it 0.25.
        kernel_size: side of the convolutions, odd.
        local_window: side of the similarity window, odd.
        sim_type: ``"cos"``, the only published one.
        norm: GroupNorm on both guides.
        direction_feat: ``"sim_concat"`` or ``"sim"``.

    Raises:
        ValueError: an unknown ``style``, ``sim_type`` or ``direction_feat``, or too few channels for the norm.
    """

    def __init__(
        self,
        in_channels: int,
        scale: int = 2,
        style: str = "lp",
        groups: int = 4,
        use_direct_scale: bool = True,
        kernel_size: int = 1,
        local_window: int = 3,
        sim_type: str = "cos",
        norm: bool = True,
        direction_feat: str = "sim_concat",
    ) -> None:
        if (style, sim_type) != ("lp", "cos"):
            raise ValueError(
                f"LocalSimGuidedSampler: needs style 'lp' and sim_type 'cos', got {style!r} and {sim_type!r}"
            )
        super().__init__(in_channels, groups, scale, kernel_size, local_window, norm, use_direct_scale, direction_feat)

    def forward(self, hr_x: Tensor, lr_x: Tensor, feat2sample: Tensor) -> Tensor:
        """Resample ``feat2sample`` [B, C, FH, FW] with guides of ``in_channels``, fine and coarse."""
        return super().forward(hr_x, lr_x, feat2sample)
