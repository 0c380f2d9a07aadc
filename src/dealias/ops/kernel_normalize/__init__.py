# SPDX-License-Identifier: Apache-2.0
"""Normalised kernels from logits: softmax over the taps, optionally under a window (FreqFusion, arXiv:2408.12879)."""

from .op import check_logits, kernel_normalize, normalize_backward
from .reference import kernel_normalize_reference

__all__ = ["check_logits", "kernel_normalize", "kernel_normalize_reference", "normalize_backward"]
