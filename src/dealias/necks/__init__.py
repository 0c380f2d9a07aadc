# SPDX-License-Identifier: Apache-2.0
"""Necks: a pyramid of features in, a pyramid of one width out."""

from .top_down import TopDown, TopDownPath

__all__ = ["TopDown", "TopDownPath"]
