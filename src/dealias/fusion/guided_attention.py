# SPDX-License-Identifier: Apache-2.0
"""Upsampling to any size by attention, in the style of JAFAR (arXiv:2506.11136) and AnyUp (arXiv:2510.12764).

From JAFAR: queries and keys come from the fine map, the keys are modulated by the coarse features, and the values are
these features themselves. From AnyUp: attention in local windows. What differs is said in :class:`GuidedAttention`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import cross_similarity, kernel_normalize, reassemble
from .base import Fusion
from .cells import Axis, Cells
from .init import init_kernel_encoder, init_xavier


class GuidedAttention(Fusion):
    """Upsample ``lr`` to any size: every fine pixel attends to the coarse pixels around it.

    A small network embeds ``hr``: a 1x1 convolution, ReLU and a depthwise 3x3 convolution with zero border. Fine pixel
    i has its embedding as the query q_i; coarse pixel j has the mean embedding e_j of the fine pixels that it covers,
    modulated by its features, as the key k_j. With d_ij the distance of their centres in coarse pixels, every head
    weighs the pixels of the window x window around the coarse pixel in which i lies::

        k_j = (1 + gamma(lr_j)) * e_j + beta(lr_j)
        w_ij = softmax_j(similarity_weight * cos(q_i, k_j) - distance_weight * d_ij**2)

    and ``lr_up_i = sum_j w_ij lr_j`` with the mean of the heads' weights. ``hr`` passes through. Cost and memory grow
    with the number of fine pixels, whatever the ratio; at one between two integers they are those of the next one.

    Border: coarse pixels outside the map have no weight, so that the weights sum to 1 and a constant stays constant up
    to the border.

    Before training gamma and beta are close to 0 and the 3x3 convolution is the identity. Where the fine map has no
    edges, that is a Gaussian with the variance of the kernel of bilinear interpolation, 1/6; at its edges the means
    keep to one side (joint bilateral upsampling).

    Other than in the papers, it is trained with the network around it, guided by features (images are possible); it
    takes the position from d_ij instead of rotary encodings, and cosines, which suit features of any scale, instead of
    scaled products; JAFAR attends to the whole coarse map, and AnyUp's encoder-agnostic layer has no place here.

    See :class:`~dealias.fusion.Fusion` for shapes. Any sizes; where ``hr`` is smaller than ``lr``, every fine pixel
    has the coarse window around it.

    Args:
        hr_channels: channels of ``hr``.
        lr_channels: channels of ``lr``.
        window: side of the windows in coarse pixels, odd.
        embedding_channels: channels of queries and keys, divisible by ``heads``.
        heads: blocks of channels with weights of their own.

    Raises:
        ValueError: an even window, or ``heads`` does not divide ``embedding_channels``.

    >>> fusion = GuidedAttention(3, 8)
    >>> _, up = fusion(torch.rand(1, 3, 45, 60), torch.rand(1, 8, 4, 5))
    >>> up.shape
    torch.Size([1, 8, 45, 60])
    """

    def __init__(
        self, hr_channels: int, lr_channels: int, window: int = 5, embedding_channels: int = 64, heads: int = 4
    ) -> None:
        super().__init__(hr_channels, lr_channels)
        if window < 1 or window % 2 == 0 or heads < 1 or embedding_channels % heads:
            raise ValueError(
                "GuidedAttention: window must be odd and heads divide embedding_channels; "
                f"got {window=}, {heads=}, {embedding_channels=}"
            )
        self.window, self.heads = window, heads
        around = nn.Conv2d(embedding_channels, embedding_channels, 3, padding=1, groups=embedding_channels)
        self.embed = nn.Sequential(nn.Conv2d(hr_channels, embedding_channels, 1), nn.ReLU(), around)
        self.modulation = nn.Conv2d(lr_channels, 2 * embedding_channels, 1)
        self.similarity_weight = nn.Parameter(torch.full((heads,), 4.0))
        self.distance_weight = nn.Parameter(torch.full((heads,), 3.0))  # variance 1 / (2 * 3)
        init_xavier(self.embed)
        nn.init.dirac_(around.weight, groups=embedding_channels)
        init_kernel_encoder(self.modulation)

    def fuse(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Upsample lr [B, Cl, h, w] to the size of hr [B, Ch, H, W]; ``hr`` is returned as it is."""
        like = self.distance_weight.to(torch.promote_types(hr.dtype, torch.float32))
        cells = Cells.between(hr.shape[-2:], lr.shape[-2:], like)
        embedding = self.embed(hr)
        query, key = cells.to_slots(self._unit_heads(embedding)), self._key(embedding, lr)
        weight = self._weight(cross_similarity(query, key, self.window, cells.scale), cells, lr)
        return hr, cells.from_slots(reassemble(lr, weight.to(lr.dtype), scale=cells.scale))

    def _unit_heads(self, x: Tensor) -> Tensor:
        """Every head's channels of ``x`` [B, E, H, W] as a map of unit vectors: [B*heads, E/heads, H, W]."""
        return F.normalize(x.unflatten(1, (self.heads, -1)), dim=2).flatten(0, 1)

    def _key(self, embedding: Tensor, lr: Tensor) -> Tensor:
        """Keys [B*heads, E/heads, h, w], as long as the similarity weighs."""
        gamma, beta = self.modulation(lr).chunk(2, dim=1)
        mean = F.adaptive_avg_pool2d(embedding, (lr.shape[-2], lr.shape[-1]))
        length = self.similarity_weight.repeat(lr.shape[0])[:, None, None, None]
        return self._unit_heads((1 + gamma) * mean + beta) * length

    def _weight(self, logits: Tensor, cells: Cells, lr: Tensor) -> Tensor:
        """The mean kernel of the heads in every slot, [B, window**2, H, W], from logits [B*heads, window**2, H, W]."""
        rows, columns = self._nearness(cells.rows, lr.shape[-2]), self._nearness(cells.columns, lr.shape[-1])
        near = (rows[:, :, None, :, None] + columns[:, None, :, None, :]).flatten(1, 2)
        taps = logits.unflatten(0, (-1, self.heads)) + near
        kernels = kernel_normalize(taps.flatten(1, 2), self.window)
        return kernels.unflatten(1, (self.heads, -1)).mean(dim=1)

    def _nearness(self, axis: Axis, size: int) -> Tensor:
        """Along one axis, what distance adds to the logits: [heads, window, slots], -inf for taps outside the map."""
        tap = torch.arange(self.window, device=axis.home.device)[:, None] - self.window // 2
        outside = (axis.home + tap < 0) | (axis.home + tap >= size)
        squared = (tap - axis.offset).square()
        return (-self.distance_weight[:, None, None] * squared).masked_fill(outside, -torch.inf)
