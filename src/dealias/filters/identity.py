# SPDX-License-Identifier: Apache-2.0
"""No filter at all: the baseline of every comparison."""

from __future__ import annotations

from torch import Tensor

from .base import Prefilter


class Identity(Prefilter):
    """Returns the map as it is. See :class:`~dealias.filters.Prefilter` for shapes."""

    def filter(self, x: Tensor) -> Tensor:
        """Return ``x``."""
        return x
