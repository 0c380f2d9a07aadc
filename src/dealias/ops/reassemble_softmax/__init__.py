# SPDX-License-Identifier: Apache-2.0
"""Reassembly by kernels that are normalised on the way and never stored (CARAFE, arXiv:1905.02188)."""

from .op import reassemble_softmax
from .reference import reassemble_softmax_reference

__all__ = ["reassemble_softmax", "reassemble_softmax_reference"]
