# SPDX-License-Identifier: Apache-2.0
"""SAPA: similarity-aware point affiliation (NeurIPS 2022, arXiv:2209.12866)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..ops import cross_similarity, reassemble_softmax
from .base import Fusion


class SAPA(Fusion):
    """Upsample ``lr`` by affiliating each fine pixel with the coarse pixels around it that it resembles.

    Both maps are normalised over channels (y fine, x coarse) and embedded: queries q on the fine grid, keys k on the
    coarse one. Kernels are the softmax of the inner products of a query with the keys of its k x k window; outside the
    map keys and values are 0. ``hr`` passes through. See :class:`~dealias.fusion.Fusion` for shapes and sizes.

    Args:
        hr_channels: channels of ``hr``.
        lr_channels: channels of ``lr``.
        kernel_size: side of the window, odd.
        embedding_channels: channels of queries and keys; the published costs in SegFormer-B1 are those of 32.
        similarity: ``"bilinear"`` (SAPA-B): q is a linear map of y, k of x. ``"inner"`` (SAPA-I): q = y and k = x,
            no embedding. ``"gated"`` (SAPA-G): q mixes linear maps of y and of the upsampled ``lr`` by a gate
            predicted from x. ``"concat"``: q is a linear map of both, concatenated.
        embed_value: reassemble a linear map of x instead of ``lr``.
        bias: biases in the linear maps.
        scale: ratio of sizes, at least 1.

    Raises:
        ValueError: an even kernel, a scale below 1, an unknown similarity, or ``"inner"`` with unequal channels.
    """

    query: nn.Module
    query_hr: nn.Module
    query_lr: nn.Module
    gate: nn.Module
    key: nn.Module
    value: nn.Module | None

    def __init__(
        self,
        hr_channels: int,
        lr_channels: int,
        kernel_size: int = 5,
        embedding_channels: int = 64,
        similarity: str = "bilinear",
        embed_value: bool = False,
        bias: bool = True,
        scale: int = 2,
    ) -> None:
        super().__init__(hr_channels, lr_channels)
        if kernel_size % 2 == 0 or scale < 1:
            raise ValueError(f"SAPA: kernel_size must be odd and scale positive, got {kernel_size=}, {scale=}")
        if similarity == "inner" and hr_channels != lr_channels:
            raise ValueError(f"SAPA: similarity 'inner' needs {hr_channels=} equal to {lr_channels=}")
        self.factor, self.kernel_size, self.similarity, self.scale = scale, kernel_size, similarity, scale
        self.norm_hr, self.norm_lr = nn.LayerNorm(hr_channels), nn.LayerNorm(lr_channels)
        for name, sizes in _linear_maps(similarity, hr_channels, lr_channels, embedding_channels).items():
            self.register_module(name, small_linear(*sizes, bias))
        self.register_module("value", small_linear(lr_channels, lr_channels, bias) if embed_value else None)

    def fuse(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Upsample lr [B, Cl, h, w] by its similarity to hr [B, Ch, h*scale, w*scale]; ``hr`` is returned as it is."""
        fine, coarse = self.norm_hr(hr.movedim(1, -1)), self.norm_lr(lr.movedim(1, -1))
        key = coarse if self.similarity == "inner" else self.key(coarse)
        query = self._query(fine, coarse, lr)
        logits = cross_similarity(query.movedim(-1, 1), key.movedim(-1, 1), self.kernel_size, self.scale)
        value = lr if self.value is None else self.value(coarse).movedim(-1, 1)
        return hr, reassemble_softmax(value, logits, self.kernel_size, scale=self.scale)

    def _query(self, fine: Tensor, coarse: Tensor, lr: Tensor) -> Tensor:
        """Queries [B, H, W, embedding_channels]; the maps have their channels last but for ``lr``."""
        if self.similarity == "inner":
            return fine
        if self.similarity == "bilinear":
            return self.query(fine)
        lr_up = _repeat(lr.movedim(1, -1), self.scale)
        if self.similarity == "concat":
            return self.query(torch.cat([fine, lr_up], dim=-1))
        gate = torch.sigmoid(_repeat(self.gate(coarse), self.scale))
        return gate * self.query_hr(fine) + (1 - gate) * self.query_lr(lr_up)


def _linear_maps(similarity: str, fine: int, coarse: int, embedding: int) -> dict[str, tuple[int, int]]:
    """Input and output channels of the linear maps behind queries and keys, by name."""
    maps = {
        "inner": {},
        "bilinear": {"query": (fine, embedding), "key": (coarse, embedding)},
        "concat": {"query": (fine + coarse, embedding), "key": (coarse, embedding)},
        "gated": {
            "query_hr": (fine, embedding),
            "query_lr": (coarse, embedding),
            "gate": (coarse, 1),
            "key": (coarse, embedding),
        },
    }
    if similarity not in maps:
        raise ValueError(f"SAPA: similarity must be one of {', '.join(maps)}; got {similarity!r}")
    return maps[similarity]


def small_linear(inputs: int, outputs: int, bias: bool) -> nn.Linear:
    """A linear map whose weights start with standard deviation 0.02 and whose bias starts at 0."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def _repeat(x: Tensor, scale: int) -> Tensor:
    """Every pixel of ``x`` [B, h, w, C] ``scale`` x ``scale`` times."""
    return x.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2)
