# SPDX-License-Identifier: Apache-2.0
"""De-aliasing filter: "When Semantic Segmentation Meets Frequency Aliasing" (ICLR 2024, arXiv:2403.09065)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..ops.spectrum import equivalent_sampling_rate, low_pass
from .base import Prefilter
from .strides import SamplingLayer


class DeAliasingFilter(Prefilter):
    """Remove every frequency above the Nyquist frequency of the layer that follows, its channels counted in.

    The ideal low-pass ``|f_y|, |f_x| <= cutoff``, :func:`dealias.ops.low_pass`. The cut-off is half the layer's
    equivalent sampling rate ``min(K, sqrt(C_out / C_in)) / stride``: a layer that doubles the channels can keep more
    than its stride says. The map counts as periodic. No parameters. See :class:`~dealias.filters.Prefilter` for shapes.

    Args:
        channels: channels of the map, or ``None`` for any number.
        stride: step of the layer that follows, pixels.
        cutoff: highest frequency kept, cycles per sample, 0-0.5; ``None``: from the rate, at most 0.5. The published
            networks have 0.35, this rounded for a 3x3 layer of stride 2 that doubles the channels.
        kernel_size: side K of the layer that follows.
        out_channels: channels of that layer's output; ``None``: twice those of the map.
        released: the published mask, which is not symmetric for even sizes; see :func:`dealias.ops.low_pass`.

    Raises:
        ValueError: the cut-off is out of range, or the layer's numbers are below 1.

    >>> round(DeAliasingFilter(64).cutoff, 5)
    0.35355
    """

    def __init__(
        self,
        channels: int | None,
        stride: int = 2,
        cutoff: float | None = None,
        kernel_size: int = 3,
        out_channels: int | None = None,
        released: bool = False,
    ) -> None:
        super().__init__(channels, stride)
        if cutoff is None:
            inputs = channels or 1
            outputs = 2 * inputs if out_channels is None else out_channels
            cutoff = min(0.5, equivalent_sampling_rate(kernel_size, stride, inputs, outputs) / 2)
        if not 0 <= cutoff <= 0.5:
            raise ValueError(f"DeAliasingFilter: cutoff must be 0-0.5 cycles per sample, got {cutoff}")
        self.cutoff, self.released = cutoff, released

    def filter(self, x: Tensor) -> Tensor:
        """Filter x [B, C, H, W]: same shape."""
        return low_pass(x, self.cutoff, self.released)

    @classmethod
    def _options_before(cls, sampling: SamplingLayer, channels: int | None) -> dict[str, Any]:
        # a pool has as many channels after it as before, and where nobody knows them one stands for them
        return {"kernel_size": min(sampling.kernel), "out_channels": sampling.out_channels or channels or 1}

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        return f"{super().extra_repr()}, cutoff={self.cutoff:.4g}"
