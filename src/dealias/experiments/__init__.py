# SPDX-License-Identifier: Apache-2.0
"""Comparisons of variants with paired seeds, and the demo. Needs the extra ``train``."""
