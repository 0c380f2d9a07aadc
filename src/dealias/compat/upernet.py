# SPDX-License-Identifier: Apache-2.0
"""UPerNet and its auxiliary FCN head as mmsegmentation stores them: names, and what keys and shapes tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .renaming import Rules, shape_of

_CONV_NORM_ACT = {
    r"decoder\.pooling\.branches\.(\d)": r"decode_head.psp_modules.\1.1",
    r"decoder\.pooling\.fuse": "decode_head.bottleneck",
    r"decoder\.laterals\.(\d)": r"decode_head.lateral_convs.\1",
    r"decoder\.smooth\.(\d)": r"decode_head.fpn_convs.\1",
    r"decoder\.fuse": "decode_head.fpn_bottleneck",
    r"auxiliary\.conv": "auxiliary_head.convs.0",
}
RULES: Rules = {
    r"^decoder\.classifier\.1\.": "decode_head.conv_seg.",
    r"^auxiliary\.classifier\.1\.": "auxiliary_head.conv_seg.",
    **{rf"^{own}\.0\.": f"{published}.conv." for own, published in _CONV_NORM_ACT.items()},
    **{rf"^{own}\.1\.": f"{published}.bn." for own, published in _CONV_NORM_ACT.items()},
}
"""From names of the heads of this library's UPerNet to those published."""


def find_heads(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of :func:`~dealias.models.create_model` for the heads.

    Raises:
        ValueError: the weights have no UPerNet.
    """
    auxiliary = any(key.startswith("auxiliary_head.") for key in weights)
    return {
        "classes": shape_of(weights, "decode_head.conv_seg.weight")[0],
        "decoder_channels": shape_of(weights, "decode_head.fpn_bottleneck.conv.weight")[0],
        "auxiliary": auxiliary,
    } | ({"auxiliary_channels": shape_of(weights, "auxiliary_head.convs.0.conv.weight")[0]} if auxiliary else {})
