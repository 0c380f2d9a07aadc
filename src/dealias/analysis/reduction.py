# SPDX-License-Identifier: Apache-2.0
"""How a call of a layer made a feature map smaller: by the layer's own numbers, or by what went in and came out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn

from .sampling_rate import Window, window_of

ADAPTIVE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
"""Pools to a fixed number of bins. They describe regions of the image, and their stride depends on its size."""


@dataclass(frozen=True)
class Reduction:
    """A layer that makes maps smaller, as one call of it showed it.

    Attributes:
        kind: what kind of layer it is, for people; the name of its class if that is not known.
        window: kernel, stride and channels.
        channels_last: whether its maps are [B, H, W, C] instead of [B, C, H, W].
    """

    kind: str
    window: Window
    channels_last: bool = False

    @property
    def nyquist(self) -> float:
        """The highest frequency in cycles per sample that the layer can keep."""
        return self.window.rate / 2

    def maps(self, x: Tensor) -> Tensor:
        """The input of the layer as [B, C, H, W]."""
        return x.movedim(-1, -3) if self.channels_last else x


def module_names(network: nn.Module) -> dict[nn.Module, str]:
    """All modules of a network with their names; that of the network itself is its class."""
    return {module: name or type(module).__name__ for name, module in network.named_modules()}


def find_reduction(layer: nn.Module, x: Tensor, y: Tensor) -> Reduction | None:
    """How ``layer`` made ``x`` smaller.

    A convolution or pool does so if it has a stride and its output is smaller. Any other layer does so if height and
    width are halved, rounded up, or less, and it keeps the batch; its stride is what was observed, and its kernel is
    taken to be as large, since an output that stands for so many samples sees at least those.

    Args:
        layer: any module.
        x: its input, four-dimensional.
        y: its output, likewise.

    Returns:
        ``None`` if it did not, or if a single value per channel is left, which is no map any more.
    """
    window = window_of(layer)
    if window is not None:
        is_smaller = any(after < before for before, after in zip(x.shape[2:], y.shape[2:], strict=True))
        if max(window.stride) == 1 or not is_smaller:
            return None
        return Reduction(_kind(layer), replace(window, in_channels=x.shape[1], out_channels=y.shape[1]))
    if isinstance(layer, ADAPTIVE) or x.shape[0] != y.shape[0]:
        return None
    for channels_last in (False, True):
        stride = _observed_stride(x, y, channels_last)
        if stride is not None:
            channels = 3 if channels_last else 1
            return Reduction(
                type(layer).__name__, Window(stride, stride, x.shape[channels], y.shape[channels]), channels_last
            )
    return None


def _observed_stride(x: Tensor, y: Tensor, channels_last: bool) -> tuple[int, int] | None:
    """The ratio of the sizes if both are halved."""
    places = slice(1, 3) if channels_last else slice(2, 4)
    sizes = list(zip(x.shape[places], y.shape[places], strict=True))
    if any(2 * after > before + 1 for before, after in sizes) or max(after for _, after in sizes) == 1:
        return None
    rows, columns = (round(before / after) for before, after in sizes)
    return rows, columns


def _kind(layer: nn.Module) -> str:
    if isinstance(layer, nn.Conv2d):
        if layer.groups == 1:
            return "convolution"
        return "depthwise convolution" if layer.groups == layer.in_channels else "grouped convolution"
    names: dict[type[nn.Module], str] = {nn.MaxPool2d: "max pool", nn.AvgPool2d: "average pool"}
    return next((name for pool, name in names.items() if isinstance(layer, pool)), "power-average pool")
