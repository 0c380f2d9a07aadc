# SPDX-License-Identifier: Apache-2.0
"""DCNv3 (arXiv:2211.05778) with published arguments and state-dict keys. Needs timm."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import linear

from dealias import backbones, ops

from .naming import alias, publish_names

_NORMS = {"LN": "layer", "BN": "batch"}
_ACTIVATIONS = {"GELU": "gelu", "SiLU": "silu", "ReLU": "relu"}
_SHARES = "center_feature_scale_proj_"


class DCNv3(backbones.DCNv3):
    """The published module: [N, H, W, channels] to the same shape.

    Args:
        channels: channels of the map.
        kernel_size: taps along one side, odd.
        dw_kernel_size: side of the depthwise convolution; None for ``kernel_size``.
        stride: 1; the published module makes offsets for every pixel, and its sampling fails with others.
        pad: the same for every size but ``dilation * (kernel_size - 1) / 2``.
        dilation: pixels between neighbouring taps.
        group: channel groups.
        offset_scale: enlarges the kernel and its offsets.
        act_layer: ``"GELU"``, ``"SiLU"`` or ``"ReLU"``.
        norm_layer: ``"LN"`` or ``"BN"``.
        center_feature_scale: mix the samples with the pixel itself.
        remove_center: leave out the central tap.

    Raises:
        ValueError: an option that the published code does not run with.
    """

    guide = alias("dw_conv")
    to_offsets = alias("offset")
    to_weights = alias("mask")
    enter = alias("input_proj")
    leave = alias("output_proj")

    def __init__(
        self,
        channels: int = 64,
        kernel_size: int = 3,
        dw_kernel_size: int | None = None,
        stride: int = 1,
        pad: int = 1,
        dilation: int = 1,
        group: int = 4,
        offset_scale: float = 1.0,
        act_layer: str = "GELU",
        norm_layer: str = "LN",
        center_feature_scale: bool = False,
        remove_center: bool = False,
    ) -> None:
        if norm_layer not in _NORMS or act_layer not in _ACTIVATIONS:
            raise ValueError(
                f"DCNv3: needs norm_layer of {tuple(_NORMS)} and act_layer of {tuple(_ACTIVATIONS)}, "
                f"got {norm_layer=}, {act_layer=}"
            )
        if stride != 1 or 2 * pad != dilation * (kernel_size - 1):
            raise ValueError(f"DCNv3: the map must keep its size, got {kernel_size=}, {stride=}, {pad=}, {dilation=}")
        super().__init__(
            channels,
            group,
            kernel_size,
            dilation,
            dw_kernel_size,
            offset_scale,
            _NORMS[norm_layer],
            _ACTIVATIONS[act_layer],
            center_feature_scale,
            remove_center,
        )
        names = {"guide": "dw_conv", "to_offsets": "offset", "to_weights": "mask"}
        publish_names(self, names | {"enter": "input_proj", "leave": "output_proj"})
        conv, norm, activation = self.get_submodule("dw_conv").children()
        layout = [nn.Identity()] if norm_layer == "LN" else []  # the published change of layout has a number too
        self.dw_conv = nn.Sequential(conv, nn.Sequential(*layout, norm), activation)
        if self.to_shares is not None:
            shares, self.to_shares = self.to_shares, None
            for name, parameter in shares.named_parameters():
                self.register_parameter(_SHARES + name, parameter)

    def shares(self, guide: Tensor) -> Tensor | None:
        """How much of the pixel itself is in every group, before the sigmoid: [N, H, W, group], or None."""
        if _SHARES + "weight" not in self._parameters:
            return None
        return linear(guide, self.get_parameter(_SHARES + "weight"), self.get_parameter(_SHARES + "bias"))


def dcnv3_core_pytorch(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    group_channels: int,
    offset_scale: float,
    remove_center: bool = False,
) -> Tensor:
    """The published function, on maps [N, H, W, C].

    Args:
        input: [N, H, W, group * group_channels].
        offset: [N, H', W', group * taps * 2], (x, y) in pixels, taps column by column.
        mask: the weights, [N, H', W', group * taps].
        kernel_h: taps along the rows, as many as along the columns; likewise with the other pairs.
        kernel_w: see ``kernel_h``.
        stride_h: pixels between neighbouring outputs.
        stride_w: see ``stride_h``.
        pad_h: pixels of zeros around the map.
        pad_w: see ``pad_h``.
        dilation_h: pixels between neighbouring taps.
        dilation_w: see ``dilation_h``.
        group: channel groups.
        group_channels: channels of a group.
        offset_scale: enlarges the kernel and its offsets.
        remove_center: there is no central tap.

    Returns:
        [N, H', W', group * group_channels].

    Raises:
        ValueError: unequal pairs, or what :func:`~dealias.ops.deformable_aggregation` refuses.
    """
    pairs = ((kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w))
    if any(rows != columns for rows, columns in pairs):
        raise ValueError(f"dcnv3_core_pytorch: kernel, stride, pad and dilation must be square, got {pairs}")
    if input.shape[-1] != group * group_channels:
        raise ValueError(f"dcnv3_core_pytorch: {tuple(input.shape)} has not {group} x {group_channels} channels")
    taps = kernel_h * kernel_w - remove_center
    out = ops.deformable_aggregation(
        input.permute(0, 3, 1, 2),
        offset.permute(0, 3, 1, 2).unflatten(1, (group, taps, 2)),
        mask.permute(0, 3, 1, 2).unflatten(1, (group, taps)),
        kernel_h,
        stride_h,
        pad_h,
        dilation_h,
        offset_scale,
    )
    return out.permute(0, 2, 3, 1)
