# SPDX-License-Identifier: Apache-2.0
"""The offset generator of FreqFusion (arXiv:2408.12879, section 3.4): resample towards similar neighbours."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import local_similarity
from .joint import convolve_jointly
from .offsets import initial_positions, sample_at_offsets

_SIMILARITY_DILATION = 2


class SimilaritySampler(nn.Module):
    """Resample a feature at offsets predicted from how similar each pixel is to its neighbours.

    With h and l the normalised fine and coarse guides and sim(.) their local cosine similarity at dilation 2 (zero
    border), ``offset = (A(l) + unshuffle(B(h))) * sigmoid(C(l) + unshuffle(D(h))) + initial positions``, in coarse
    pixels, with convolutions A and B for the direction and C and D for the scope.

    Args:
        channels: channels of both guides.
        groups: channel groups of the feature with offsets of their own.
        scale: ratio of fine to coarse size.
        kernel_size: side of the four convolutions, odd (zero border).
        local_window: side of the similarity window, odd.
        norm: GroupNorm, channels // 8 groups, on both guides.
        dynamic_scope: predict the scope; without it the factor is 0.25.
        direction_feat: ``"sim_concat"``: all four convolutions see guide and similarity; ``"sim"``: A and B see the
            similarity, C and D the guide.

    Raises:
        ValueError: unknown ``direction_feat``, or too few channels for the norm.
    """

    positions: Tensor
    lr_scope: nn.Module | None
    hr_scope: nn.Module | None

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
        super().__init__()
        if direction_feat not in ("sim_concat", "sim"):
            raise ValueError(f"direction_feat must be 'sim_concat' or 'sim', got {direction_feat!r}")
        if norm and (channels < 8 or channels % (channels // 8)):
            raise ValueError(f"GroupNorm of channels // 8 groups does not divide {channels} guide channels")
        self.groups, self.scale, self.local_window, self.direction_feat = groups, scale, local_window, direction_feat
        similarities = local_window**2 - 1
        direction_in = channels + similarities if direction_feat == "sim_concat" else similarities
        scope_in = channels + similarities if direction_feat == "sim_concat" else channels
        fine, coarse = 2 * groups, 2 * groups * scale**2

        def conv(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2)

        self.lr_offset = conv(direction_in, coarse)
        self.register_module("lr_scope", conv(scope_in, coarse) if dynamic_scope else None)
        self.hr_offset = conv(direction_in, fine)
        self.register_module("hr_scope", conv(scope_in, fine) if dynamic_scope else None)
        self.norm_hr = nn.GroupNorm(channels // 8, channels) if norm else nn.Identity()
        self.norm_lr = nn.GroupNorm(channels // 8, channels) if norm else nn.Identity()
        self.register_buffer("positions", initial_positions(groups, scale), persistent=False)

    def forward(self, hr: Tensor, lr: Tensor, feature: Tensor) -> Tensor:
        """Resample ``feature``.

        Args:
            hr: fine guide, [B, channels, h*scale, w*scale].
            lr: coarse guide, [B, channels, h, w].
            feature: [B, C, FH, FW], any size (in FreqFusion that of ``hr``), C divisible by ``groups``.

        Returns:
            [B, C, h*scale, w*scale]; border pixels of ``feature`` repeat outside.
        """
        direction_hr, *scope_hr = self._predict(self.norm_hr(hr), self.hr_offset, self.hr_scope)
        direction_lr, *scope_lr = self._predict(self.norm_lr(lr), self.lr_offset, self.lr_scope)
        direction = direction_lr + F.pixel_unshuffle(direction_hr, self.scale)
        scope: Tensor | float = 0.25
        if scope_hr:
            scope = torch.sigmoid(scope_lr[0] + F.pixel_unshuffle(scope_hr[0], self.scale))
        return sample_at_offsets(feature, direction * scope + self.positions, self.groups, self.scale)

    def _predict(self, guide: Tensor, offset: nn.Module, scope: nn.Module | None) -> tuple[Tensor, ...]:
        """A guide's part of the direction and, with a dynamic scope, of the scope."""
        similarity = local_similarity(guide, self.local_window, _SIMILARITY_DILATION)
        if self.direction_feat == "sim":
            return (offset(similarity),) if scope is None else (offset(similarity), scope(guide))
        both = torch.cat([guide, similarity], dim=1)
        return convolve_jointly(both, offset, *([] if scope is None else [scope]))
