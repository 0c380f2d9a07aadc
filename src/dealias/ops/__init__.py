# SPDX-License-Identifier: Apache-2.0
"""Operators on tensors: a plain reference each, and a registered form for compile, export, autocast and autograd."""

from .backend import BACKENDS, current_backend, use_backend
from .cross_similarity import cross_similarity
from .deformable_aggregation import deformable_aggregation
from .kernel_normalize import kernel_normalize
from .local_similarity import local_similarity
from .point_sample import point_sample
from .reassemble import reassemble
from .reassemble_softmax import reassemble_softmax
from .spectrum import low_pass

__all__ = [
    "BACKENDS",
    "cross_similarity",
    "current_backend",
    "deformable_aggregation",
    "kernel_normalize",
    "local_similarity",
    "low_pass",
    "point_sample",
    "reassemble",
    "reassemble_softmax",
    "use_backend",
]
