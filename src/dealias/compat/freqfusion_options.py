# SPDX-License-Identifier: Apache-2.0
"""What the published weights of a FreqFusion, a DSConv-FF or a DWT-FF tell of its options (arXiv:2408.12879)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dealias.fusion.freqfusion import hamming_2d

from .freqfusion_variants import haar_buffers
from .renaming import shape_of

FIXED = re.compile(r"(?:^|\.)(hamming_lowpass|hamming_highpass|init_pos|dwt\.h[01]_(?:col|row))$")
"""Published names of what is not learnt."""

FIXED_REASON = "fixed, computed here"


def freqfusion_options(weights: Mapping[str, Tensor], fixed: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    """What keys and shapes of a FreqFusion tell, as options of :class:`~dealias.fusion.FreqFusion`.

    Args:
        weights: tensors by their published names.
        fixed: those of names like :data:`FIXED`.
        prefix: what its names begin with, the dot included.

    Raises:
        ValueError: no FreqFusion, or windows that are no Hamming windows.
    """
    separable = f"{prefix}content_encoder.0.weight" in weights
    first, last = (".0", ".1") if separable else ("", "")  # depthwise, pointwise
    highpass = weights.get(f"{prefix}content_encoder2{last}.weight")
    direction = weights.get(f"{prefix}dysampler.offset.weight")
    options: dict[str, Any] = {
        "lowpass_kernel": math.isqrt(shape_of(weights, f"{prefix}content_encoder{last}.weight")[0]),
        "encoder_kernel": shape_of(weights, f"{prefix}content_encoder{first}.weight")[-1],
        "use_high_pass": highpass is not None,
        "hamming_window": _has_window(fixed, f"{prefix}hamming_lowpass"),
        "feature_resample": direction is not None,
    }
    if separable:
        options["encoder"] = "separable"
    if f"{prefix}content_encoder3.weight" in weights:
        options |= {"decomposition": "haar", "attention": "full"}
    if highpass is not None:
        options["highpass_kernel"] = math.isqrt(highpass.shape[0])
    if direction is not None:
        options["feature_resample_group"] = direction.shape[0] // 8  # x and y of 2 x 2 sub-pixels
        options["feature_resample_norm"] = f"{prefix}dysampler.norm_hr.weight" in weights
        options["direction_feat"] = "sim" if direction.shape[1] == 8 else "sim_concat"  # 8 neighbours alone
    return options


def _has_window(fixed: Mapping[str, Tensor], key: str) -> bool:
    side = shape_of(fixed, key)[-1]
    if side > 1 and not torch.allclose(fixed[key].float(), hamming_2d(side), atol=1e-6):
        raise ValueError(f"{key} must be a Hamming window, got {fixed[key].flatten().tolist()}")
    return side > 1


def check_haar(fixed: Mapping[str, Tensor], prefix: str) -> None:
    """Check the published wavelet filters, which are computed here.

    Raises:
        ValueError: they are not those of Haar's wavelet.
    """
    for name, value in haar_buffers().items():
        key = prefix + name
        if key not in fixed or not torch.allclose(fixed[key].float(), value, atol=1e-6):
            found = fixed[key].flatten().tolist() if key in fixed else "nothing"
            raise ValueError(f"{key} must be the Haar filter {value.flatten().tolist()}, got {found}")
