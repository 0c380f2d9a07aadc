# SPDX-License-Identifier: Apache-2.0
"""Checks that every operator and method of this library passes, for third-party ones too.

Each check raises ``AssertionError`` with what was found. Tolerances live in one table, :data:`TOLERANCES`.
"""

from .filters import PREFILTER_CHECKS, check_prefilter
from .fusion import FUSION_CHECKS, check_fusion
from .ops import check_op
from .tolerances import TOLERANCES, assert_close, assert_shape

__all__ = [
    "FUSION_CHECKS",
    "PREFILTER_CHECKS",
    "TOLERANCES",
    "assert_close",
    "assert_shape",
    "check_fusion",
    "check_op",
    "check_prefilter",
]
