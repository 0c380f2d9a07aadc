# SPDX-License-Identifier: Apache-2.0
"""Warps that crowd samples where a map is salient, and back (spatial frequency modulation, arXiv:2507.11893)."""

from .demodulate import demodulate
from .mesh import count_flips, mesh_inverse, mesh_locate
from .newton import newton_locate
from .saliency import saliency_map
from .warp import Warp

__all__ = ["Warp", "count_flips", "demodulate", "mesh_inverse", "mesh_locate", "newton_locate", "saliency_map"]
