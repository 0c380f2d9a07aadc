# SPDX-License-Identifier: Apache-2.0
"""DCNv3, the spatial operator of InternImage: deformable aggregation between two projections (arXiv:2211.05778)."""

from __future__ import annotations

from timm.layers import LayerNorm2d
from torch import Tensor, nn

from dealias.ops import deformable_aggregation

ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "silu": nn.SiLU, "relu": nn.ReLU}
NORMS: dict[str, type[nn.Module]] = {"layer": LayerNorm2d, "batch": nn.BatchNorm2d}
"""Norms of maps [B, C, H, W]: over the channels of a pixel, or over batch and pixels."""


def choose(choices: dict[str, type[nn.Module]], kind: str, name: str) -> type[nn.Module]:
    """The class of that name.

    Raises:
        ValueError: there is none; lists the known names.
    """
    if name not in choices:
        raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(choices)}")
    return choices[name]


class DCNv3(nn.Module):
    """Deformable convolution, version 3: [B, H, W, channels] to the same shape (equation 2 and section 3.1).

    A guide, made from the input by a depthwise convolution, a norm and an activation, gives every pixel and channel
    group an offset and a weight for each tap of a kernel; the weights are a softmax over the taps. The projected input
    is sampled there, zero outside the map, and projected again. Begins as a plain mean over the kernel.

    Args:
        channels: channels of input and output.
        groups: channel groups, each with offsets and weights of its own; they divide the channels.
        kernel_size: taps along one side, odd.
        dilation: pixels between neighbouring taps.
        guide_kernel: side of the depthwise convolution, odd; None for ``kernel_size``.
        offset_scale: enlarges the kernel and its offsets.
        norm: ``"layer"`` or ``"batch"``, of the guide.
        activation: ``"gelu"``, ``"silu"`` or ``"relu"``, of the guide.
        center_scale: mix the samples with the pixel itself, by a share that the guide gives for every group.
        remove_center: leave out the central tap.

    Raises:
        ValueError: an even kernel, groups that do not divide the channels, or an unknown norm or activation.
    """

    def __init__(
        self,
        channels: int,
        groups: int,
        kernel_size: int = 3,
        dilation: int = 1,
        guide_kernel: int | None = None,
        offset_scale: float = 1.0,
        norm: str = "layer",
        activation: str = "gelu",
        center_scale: bool = False,
        remove_center: bool = False,
    ) -> None:
        super().__init__()
        side = kernel_size if guide_kernel is None else guide_kernel
        if groups < 1 or channels % groups:
            raise ValueError(f"DCNv3: {groups} groups do not divide {channels} channels")
        if kernel_size % 2 == 0 or side % 2 == 0:
            raise ValueError(f"DCNv3: kernels must be odd, got {kernel_size=} and {guide_kernel=}")
        self.taps = kernel_size**2 - remove_center
        self.guide = nn.Sequential(
            nn.Conv2d(channels, channels, side, padding=side // 2, groups=channels),
            choose(NORMS, "norm", norm)(channels),
            choose(ACTIVATIONS, "activation", activation)(),
        )
        self.to_offsets = nn.Linear(channels, groups * self.taps * 2)
        self.to_weights = nn.Linear(channels, groups * self.taps)
        self.enter = nn.Linear(channels, channels)
        self.leave = nn.Linear(channels, channels)
        self.to_shares: nn.Linear | None = nn.Linear(channels, groups) if center_scale else None
        self.aggregate = Aggregation(groups, kernel_size, dilation, offset_scale)
        self._init_weights()

    def forward(self, x: Tensor) -> Tensor:
        """Aggregate in x [B, H, W, channels]: same shape."""
        guide = self.guide(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        values = self.enter(x)
        found = self.aggregate(values, self.to_offsets(guide), self.to_weights(guide)).permute(0, 2, 3, 1)
        shares = self.shares(guide)
        if shares is not None:
            shares = shares.sigmoid().repeat_interleave(x.shape[-1] // shares.shape[-1], dim=-1)
            found = found * (1 - shares) + values * shares
        return self.leave(found)

    def shares(self, guide: Tensor) -> Tensor | None:
        """How much of the pixel itself is in every group, before the sigmoid: [B, H, W, groups], or None."""
        return None if self.to_shares is None else self.to_shares(guide)

    def _init_weights(self) -> None:
        """As published: no offsets, equal weights, half of the pixel itself; projections that keep the variance."""
        constant = [self.to_offsets, self.to_weights]
        constant += [] if self.to_shares is None else [self.to_shares]
        for layer in constant:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer in (self.enter, self.leave):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


class Aggregation(nn.Module):
    """The sampling of :class:`DCNv3`; its output [B, C, H, W] is where a mixer belongs.

    Args:
        groups: channel groups.
        kernel_size: taps along one side, odd.
        dilation: pixels between neighbouring taps.
        offset_scale: enlarges the kernel and its offsets.
    """

    def __init__(self, groups: int, kernel_size: int, dilation: int, offset_scale: float) -> None:
        super().__init__()
        self.groups, self.kernel_size, self.dilation, self.offset_scale = groups, kernel_size, dilation, offset_scale

    def forward(self, values: Tensor, offsets: Tensor, logits: Tensor) -> Tensor:
        """Sample and add up.

        Args:
            values: [B, H, W, C].
            offsets: [B, H, W, groups * taps * 2], (x, y) in pixels.
            logits: of the weights, [B, H, W, groups * taps].

        Returns:
            [B, C, H, W].
        """
        weights = logits.permute(0, 3, 1, 2).unflatten(1, (self.groups, -1)).softmax(2)
        offsets = offsets.permute(0, 3, 1, 2).unflatten(1, (self.groups, -1, 2))
        return deformable_aggregation(
            values.permute(0, 3, 1, 2),
            offsets,
            weights,
            self.kernel_size,
            padding=self.dilation * (self.kernel_size // 2),
            dilation=self.dilation,
            offset_scale=self.offset_scale,
        )
