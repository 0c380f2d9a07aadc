# SPDX-License-Identifier: Apache-2.0
"""Wrong pixels by the edge they belong to (hard-pixel metrics of arXiv:2403.09065), each kind with its colour."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dealias.metrics import boundary_regions
from dealias.report.error_kind import ErrorKind

RIGHT = 0


ERROR_KINDS = (
    ErrorKind(
        "False response",
        "false",
        "FErr",
        (213, 94, 0),
        "The prediction has an edge here and the ground truth has none: it responds to what is not there.",
    ),
    ErrorKind(
        "Merging mistake",
        "merged",
        "MErr",
        (0, 114, 178),
        "The ground truth has an edge here and the prediction has none: two things became one, or a thin one is lost.",
    ),
    ErrorKind(
        "Displacement",
        "displaced",
        "DErr",
        (240, 196, 0),
        "Both have an edge here: the network saw it, but put it in another place or gave it the wrong class.",
    ),
    ErrorKind(
        "Wrong elsewhere",
        "elsewhere",
        "",
        (90, 82, 110),
        "Neither has an edge nearby: a whole area has the wrong class, a matter of recognition more than of sampling.",
    ),
)
"""In the order of the ids 1 to 4; blue, vermilion and yellow are told apart with every common colour blindness."""

_KIND_BY_REGION = (4, 1, 2, 3)
"""By code of :func:`dealias.metrics.boundary_regions`: neither band, predicted edges, true edges, both."""


def error_kinds(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], ignore_index: int, band: int, edges: str = "exact"
) -> NDArray[np.uint8]:
    """The kind of error of every pixel.

    Args:
        prediction: class ids, [H, W].
        truth: the same; edges of ignored areas count as edges.
        ignore_index: ground truth that is never wrong.
        band: width in pixels of the band around edges, odd.
        edges: see :func:`dealias.metrics.label_edges`.

    Returns:
        [H, W]: 0 where the prediction is right, otherwise 1 + position in ``ERROR_KINDS``.

    >>> error_kinds(np.uint8([[0, 0, 0, 1, 1, 1, 2, 2]]), np.uint8([[0, 0, 0, 0, 1, 1, 1, 1]]), 255, 1).tolist()
    [[0, 0, 0, 3, 0, 0, 1, 4]]
    """
    regions = boundary_regions(torch.tensor(prediction), torch.tensor(truth), edges, band).numpy()
    wrong = (prediction != truth) & (truth != ignore_index)
    return np.where(wrong, np.array(_KIND_BY_REGION, np.uint8)[regions], np.uint8(RIGHT))
