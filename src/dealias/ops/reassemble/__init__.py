# SPDX-License-Identifier: Apache-2.0
"""Content-aware reassembly: every output pixel is its own weighted sum of a k x k window (CARAFE, arXiv:1905.02188)."""

from .op import reassemble
from .reference import reassemble_reference

__all__ = ["reassemble", "reassemble_reference"]
