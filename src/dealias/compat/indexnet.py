# SPDX-License-Identifier: Apache-2.0
"""IndexNet (ICCV 2019, arXiv:1908.00672) under its published names, signatures and state-dict keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..fusion.indexnet import downsampling_index, index_branches, index_logits, upsampling_index

Norm = Callable[[int], nn.Module]


class DepthwiseM2OIndexBlock(nn.Module):
    """The published block with an index per channel from all channels: ``forward(x)`` gives both sides' indices.

    ``index_up * nearest(low)`` upsamples; :func:`index_pool` downsamples with ``index_down``.

    Args:
        inp: channels of x.
        use_nonlinear: two convolutions with a norm and ReLU6 between them, instead of one.
        use_context: 4x4 windows, overlapping, instead of 2x2.
        batch_norm: makes the norm from a number of channels.

    Raises:
        ValueError: in ``forward``, odd sizes.
    """

    _index: ClassVar[str] = "many_to_one"

    def __init__(
        self, inp: int, use_nonlinear: bool = False, use_context: bool = False, batch_norm: Norm = nn.BatchNorm2d
    ) -> None:
        super().__init__()
        self._register(index_branches(inp, self._index, use_nonlinear, use_context, batch_norm))

    def _register(self, branches: list[nn.Sequential]) -> None:
        for number, branch in enumerate(branches, start=1):
            self.add_module(f"indexnet{number}", branch)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of x [B, inp, H, W], even H and W: ``(index_down, index_up)``, both [B, 1 or inp, H, W]."""
        if x.shape[-2] % 2 or x.shape[-1] % 2:
            raise ValueError(f"{type(self).__name__}: sides must be even, got {tuple(x.shape)}")
        logits = index_logits(self.children(), x)
        return downsampling_index(logits), upsampling_index(logits)


class DepthwiseO2OIndexBlock(DepthwiseM2OIndexBlock):
    """The published block with an index per channel from that channel; as :class:`DepthwiseM2OIndexBlock`."""

    _index = "one_to_one"


class HolisticIndexBlock(DepthwiseM2OIndexBlock):
    """The published block with one index for all channels; as :class:`DepthwiseM2OIndexBlock`."""

    _index = "holistic"

    def _register(self, branches: list[nn.Sequential]) -> None:
        (branch,) = branches
        self.indexnet = branch if len(branch) > 1 else branch[0]


class DoubleSigmoidIndexNet(HolisticIndexBlock):
    """The upsampler of the published comparisons: ``forward(guide, low)`` sends the index through a second sigmoid.

    Args:
        inp: channels of the guide; ``low`` may have any.
        use_nonlinear: as in :class:`HolisticIndexBlock`.
        use_context: as in :class:`HolisticIndexBlock`.
        batch_norm: as in :class:`HolisticIndexBlock`.
    """

    def __init__(
        self, inp: int, use_nonlinear: bool = True, use_context: bool = True, batch_norm: Norm = nn.BatchNorm2d
    ) -> None:
        super().__init__(inp, use_nonlinear, use_context, batch_norm)

    def forward(self, guide: Tensor, low: Tensor) -> Tensor:  # type: ignore[override]  # the published call
        """Upsample low [B, C, h, w] by the index of the guide [B, inp, 2h, 2w]: [B, C, 2h, 2w]."""
        _, index = super().forward(guide)
        return torch.sigmoid(index) * F.interpolate(low, size=guide.shape[-2:], mode="nearest")


class IndexedUpsamlping(nn.Module):
    """The published decoder stage (its name as published): upsample by an index, concatenate, convolve.

    Args:
        inp: channels of both maps together.
        oup: channels of the result.
        conv_operator: ``"std_conv"``, or ``"dep_sep_conv"``: depthwise, then 1x1.
        kernel_size: side of the convolution, odd.
        batch_norm: makes the norms from a number of channels.

    Raises:
        ValueError: an unknown ``conv_operator``.
    """

    def __init__(
        self,
        inp: int,
        oup: int,
        conv_operator: str = "std_conv",
        kernel_size: int = 5,
        batch_norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        if conv_operator not in ("std_conv", "dep_sep_conv"):
            raise ValueError(f"IndexedUpsamlping: conv_operator is 'std_conv' or 'dep_sep_conv', got {conv_operator!r}")

        def conv(inputs: int, outputs: int, side: int, groups: int = 1) -> list[nn.Module]:
            layer = nn.Conv2d(inputs, outputs, side, padding=side // 2, groups=groups, bias=False)
            nn.init.kaiming_normal_(layer.weight)
            return [layer, batch_norm(outputs), nn.ReLU6()]

        if conv_operator == "std_conv":
            self.dconv = nn.Sequential(*conv(inp, oup, kernel_size))
        else:
            self.dconv = nn.Sequential(*conv(inp, inp, kernel_size, groups=inp), *conv(inp, oup, 1))

    def forward(self, l_encode: Tensor, l_low: Tensor, indices: Tensor | None = None) -> Tensor:
        """Decode one stage.

        Args:
            l_encode: coarse map, [B, C, h, w]; of the size of ``l_low`` without indices.
            l_low: fine map, [B, inp - C, H, W].
            indices: index of the upsampling side, [B, 1 or C, H, W]; ``None``: ``l_encode`` is taken as it is.

        Returns:
            [B, oup, H, W].
        """
        if indices is not None:
            l_encode = indices * F.interpolate(l_encode, size=l_low.shape[-2:], mode="nearest")
        return self.dconv(torch.cat([l_encode, l_low], dim=1))


def index_pool(x: Tensor, index_down: Tensor) -> Tensor:
    """Indexed pooling, the published downsampling: the sum of each 2x2 window of ``index_down * x``.

    Args:
        x: [B, C, H, W], even H and W.
        index_down: [B, 1 or C, H, W].

    Returns:
        [B, C, H/2, W/2].
    """
    return F.avg_pool2d(index_down * x, 2, divisor_override=1)
