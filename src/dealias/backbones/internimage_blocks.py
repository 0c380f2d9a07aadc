# SPDX-License-Identifier: Apache-2.0
"""The blocks and levels of InternImage (arXiv:2211.05778, section 3.2), on maps [B, H, W, C]."""

from __future__ import annotations

from collections.abc import Sequence

from timm.layers import DropPath, LayerScale, Mlp
from torch import Tensor, nn

from .dcnv3 import ACTIVATIONS, Aggregation, DCNv3, choose

_NORM_EPSILON = 1e-6
_POSITIONS = ("before", "after", "both")


class InternImageBlock(nn.Module):
    """A deformable convolution and a per-pixel network, each with norms, a gain and a shortcut.

    Args:
        channels: channels of input and output, [B, H, W, channels].
        dcn: the deformable convolution.
        mlp_ratio: hidden channels of the per-pixel network over channels.
        activation: of the per-pixel network.
        norm_position: ``"before"`` a branch, ``"after"`` it (before the gain), or ``"both"``.
        layer_scale: first value of the gains; None for none.
        drop_path_rate: probability to drop a branch, per image, in training only.

    Raises:
        ValueError: unknown position or activation.
    """

    def __init__(
        self,
        channels: int,
        dcn: DCNv3,
        mlp_ratio: float = 4.0,
        activation: str = "gelu",
        norm_position: str = "before",
        layer_scale: float | None = 1.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        if norm_position not in _POSITIONS:
            raise ValueError(f"unknown norm_position {norm_position!r}; known: {', '.join(_POSITIONS)}")
        act = choose(ACTIVATIONS, "activation", activation)
        self.dcn = dcn
        self.mlp = Mlp(channels, int(channels * mlp_ratio), act_layer=act)
        self.before1, self.before2 = (_norm(channels, norm_position != "after") for _ in range(2))
        self.after1, self.after2 = (_norm(channels, norm_position != "before") for _ in range(2))
        self.scale1, self.scale2 = (_scale(channels, layer_scale) for _ in range(2))
        self.drop_path = DropPath(drop_path_rate)
        for layer in (self.mlp.fc1, self.mlp.fc2):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.constant_(layer.get_parameter("bias"), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Refine x [B, H, W, channels]: same shape."""
        x = x + self.drop_path(self.scale1(self.after1(self.dcn(self.before1(x)))))
        return x + self.drop_path(self.scale2(self.after2(self.mlp(self.before2(x)))))


class InternImageLevel(nn.Module):
    """One level of the pyramid: strided convolutions, blocks and norms.

    Args:
        embedding: the map of the level before (or the image) to [B, channels, H, W].
        blocks: work on [B, H, W, channels].
        channels: channels of the level.
        norm: end with a norm over channels.
        norms_after: blocks, counted from 0, that are followed by a norm of their own.

    Raises:
        ValueError: ``norms_after`` names a block that does not exist, or one twice.
    """

    def __init__(
        self,
        embedding: nn.Module,
        blocks: Sequence[InternImageBlock],
        channels: int,
        norm: bool = True,
        norms_after: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if not set(norms_after) <= set(range(len(blocks))) or len(set(norms_after)) < len(norms_after):
            raise ValueError(f"norms_after must be different blocks of 0..{len(blocks) - 1}, got {tuple(norms_after)}")
        self.embed = embedding
        self.blocks = nn.ModuleList(blocks)
        self.norms = nn.ModuleList(_norm(channels, index in norms_after) for index in range(len(blocks)))
        self.norm = _norm(channels, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the level [B, channels, H, W] from the one before, [B, C, H', W']."""
        x = self.embed(x).permute(0, 2, 3, 1)
        for block, norm in zip(self.blocks, self.norms, strict=True):
            x = norm(block(x))
        return self.norm(x).permute(0, 3, 1, 2)


def samplers(level: nn.Module) -> tuple[Aggregation, ...]:
    """What samples in every block of a level; gives [B, channels, H, W]."""
    return tuple(module for module in level.modules() if isinstance(module, Aggregation))


def _norm(channels: int, wanted: bool) -> nn.Module:
    return nn.LayerNorm(channels, eps=_NORM_EPSILON) if wanted else nn.Identity()


def _scale(channels: int, first: float | None) -> nn.Module:
    return nn.Identity() if first is None else LayerScale(channels, init_values=first)
