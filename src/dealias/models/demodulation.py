# SPDX-License-Identifier: Apache-2.0
"""From the warped grids of a modulated encoder to regular ones: before the decoder, or after it (arXiv:2507.11893).

A decoder that fuses several levels gets each of them on a regular grid (:class:`LevelDemodulation`). One that works on
a single level runs on the warped grid, and its scores are brought back (:class:`~dealias.modulation.MSAU`).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from torch import Tensor, nn

from dealias.backbones import Encoder
from dealias.modulation import MSAU
from dealias.ops.warp import Warp, demodulate

from .insertions import NONE, check_no_options, insert_modulations, own_random_numbers

MSAU_OPTIONS = "msau"
"""The key of the modulation's options under which those of MSAU are."""


def warp_counts(strides: Sequence[int]) -> tuple[int, ...]:
    """How many warps lie between the image and each level: one for every stage up to it that strides.

    >>> warp_counts((4, 8, 16, 16))
    (0, 1, 2, 2)
    """
    return tuple(accumulate((int(fine < coarse) for fine, coarse in pairwise(strides)), initial=0))


class LevelDemodulation(nn.Module):
    """Bring every level of a pyramid to a regular grid of its own size. It has no weights.

    Args:
        strides: of the levels, fine to coarse.
    """

    def __init__(self, strides: Sequence[int]) -> None:
        super().__init__()
        self.counts = warp_counts(strides)

    def forward(self, levels: Sequence[Tensor], warps: Sequence[Warp]) -> list[Tensor]:
        """Demodulate through all warps up to each level.

        Args:
            levels: maps [B, C_i, H_i, W_i], fine to coarse.
            warps: of all stages that stride, in their order.

        Returns:
            Maps of the same shapes.
        """
        return [
            demodulate(x, warps[:count], (x.shape[-2], x.shape[-1])) if count else x
            for x, count in zip(levels, self.counts, strict=True)
        ]


def modulate(
    encoder: Encoder, name: str | None, options: Mapping[str, Any], width: int, one_level: bool
) -> tuple[LevelDemodulation | None, MSAU | None]:
    """Put modulations into an encoder, and make what undoes them before or after the decoder.

    Args:
        encoder: has its stages.
        name: a modulation's name; None for none.
        options: of the modulation; under :data:`MSAU_OPTIONS` those of MSAU. With that key, even without any options
            there, a decoder of several levels gets MSAU's relation between pixels, too.
        width: channels of what the decoder tells the classes by.
        one_level: the decoder works on a single level, so that it can run on the warped grid.

    Raises:
        ValueError: unknown name or option, options without a modulation, or stages that are not known.
    """
    own = {key: value for key, value in options.items() if key != MSAU_OPTIONS}
    if name is None or name == NONE:
        check_no_options("modulation", options)
        return None, None
    insert_modulations(encoder, name, own)
    before = None if one_level else LevelDemodulation(encoder.strides)
    if before is not None and MSAU_OPTIONS not in options:
        return before, None
    return before, _create_msau(width, options.get(MSAU_OPTIONS, {}))


def _create_msau(width: int, options: Mapping[str, Any]) -> MSAU:
    accepted = [name for name in inspect.signature(MSAU).parameters if name != "channels"]
    if unknown := sorted(set(options) - set(accepted)):
        raise ValueError(f"{MSAU_OPTIONS} has no option {', '.join(unknown)}; it accepts: {', '.join(accepted)}")
    with own_random_numbers(3):
        return MSAU(width, **options)
