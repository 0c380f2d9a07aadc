# SPDX-License-Identifier: Apache-2.0
"""Compiled CPU kernels of the operators: built on request, found again by processor and version, never by surprise.

Without them everything runs in plain torch, with the same numbers up to rounding.
"""

from .compiler import build_kernels
from .library import KernelStatus, kernel_status, load_kernels

__all__ = ["KernelStatus", "build_kernels", "kernel_status", "load_kernels"]
