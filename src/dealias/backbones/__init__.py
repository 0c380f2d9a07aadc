# SPDX-License-Identifier: Apache-2.0
"""Backbones: images in, a pyramid of features at strides 4, 8, 16 and 32 out. Needs timm."""

from .timm_encoder import STRIDES, TimmEncoder

__all__ = ["STRIDES", "TimmEncoder"]
