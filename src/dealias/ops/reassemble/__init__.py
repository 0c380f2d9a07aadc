# SPDX-License-Identifier: Apache-2.0
"""Content-aware reassembly: every output pixel is its own weighted sum of a k x k window (CARAFE, arXiv:1905.02188)."""

from .op import check_reassemble, reassemble
from .reference import reassemble_reference

__all__ = ["check_reassemble", "reassemble", "reassemble_reference"]
