# SPDX-License-Identifier: Apache-2.0
"""Files of a single published module: FreqFusion and its variants, CARAFE, DySample, FreqMix, adaptive blur."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from dealias.models import PARTS

from .freqfusion_options import FIXED, FIXED_REASON, check_haar, freqfusion_options
from .plan import Plan
from .renaming import Rules, shape_of
from .segnext_names import FUSION

_Weights = Mapping[str, Tensor]


def plan(state_dict: Mapping[str, Tensor], *, module_options: Mapping[str, Any] | None = None) -> Plan:
    """Build the module of a file.

    Args:
        state_dict: tensors by their published names.
        module_options: options of the module that a file does not tell, where they are not the published ones, such as
            ``{"semi_conv": False}`` of FreqFusion.

    Raises:
        ValueError: none of the known modules.
    """
    fixed = {key: value for key, value in state_dict.items() if FIXED.search(key)}
    weights = {key: value for key, value in state_dict.items() if key not in fixed}
    kind, name, sizes, told, rules = _find(weights)(weights, fixed)
    arguments = {"name": name, **sizes, "options": told | dict(module_options or {})}
    network = PARTS[kind](**arguments)
    return Plan(network, weights, rules, dict.fromkeys(fixed, FIXED_REASON), part=(kind, arguments))


def _find(weights: _Weights) -> Callable[[_Weights, _Weights], tuple[str, str, dict[str, int], dict[str, Any], Rules]]:
    """What makes kind, name, sizes, options and rules of names from the weights and the fixed tensors."""
    for key, make in _KNOWN.items():
        if key in weights:
            return make
    raise ValueError(f"no known module: none of {', '.join(_KNOWN)} is among the keys {', '.join(list(weights)[:8])}")


def _freqfusion(weights: _Weights, fixed: _Weights) -> Any:
    guide, hr_channels = shape_of(weights, "hr_channel_compressor.weight")[:2]
    sizes = {"hr_channels": hr_channels, "lr_channels": shape_of(weights, "lr_channel_compressor.weight")[1]}
    told = {"compressed_channels": guide, **freqfusion_options(weights, fixed, "")}
    if "decomposition" in told:
        check_haar(fixed, "dwt.")
    return "fusion", "freqfusion", sizes, told, {rf"^()(?:{own})": published for own, published in FUSION.items()}


def _carafe(weights: _Weights, fixed: _Weights) -> Any:
    width, channels = shape_of(weights, "channel_compressor.weight")[:2]
    taps, _, side, _ = shape_of(weights, "content_encoder.weight")
    told = {"compressed_channels": width, "encoder_kernel": side, "kernel_size": math.isqrt(taps // 4)}
    rules = {r"^compress\.": "channel_compressor.", r"^encoder\.": "content_encoder."}
    return "fusion", "carafe", {"hr_channels": channels, "lr_channels": channels}, told, rules


def _dysample(weights: _Weights, fixed: _Weights) -> Any:
    """Groups and scale from the initial positions, which are the same on the fine grid and on the coarse one."""
    positions = shape_of(fixed, "init_pos")[1]
    outputs, inputs = shape_of(weights, "offset.weight")[:2]
    scale = round(1 / (1 - 2 * fixed["init_pos"].abs().max().item()))
    shuffled = outputs != positions
    channels = inputs * scale**2 if shuffled else inputs
    told = {
        "scale": scale,
        "groups": positions // (2 * scale**2),
        "style": "shuffle_first" if shuffled else "linear_first",
        "dynamic_scope": "scope.weight" in weights,
    }
    return "fusion", "dysample", {"hr_channels": channels, "lr_channels": channels}, told, {}


def _freqmix(weights: _Weights, fixed: _Weights) -> Any:
    hidden, channels = shape_of(weights, "channel_att_low.1.weight")[:2]
    rules = {r"^spatial\.": "freq_weight_conv."}
    rules |= {rf"^(low|high)_gate\.{i}\.": rf"channel_att_\1.{i + 1}." for i in (0, 2)}
    return "mixer", "freqmix", {"channels": channels}, {"reduction": channels // hidden, "released": True}, rules


def _adaptive_blur(weights: _Weights, fixed: _Weights) -> Any:
    taps, channels, side, _ = shape_of(weights, "conv.weight")
    told = {"kernel_size": side, "groups": taps // side**2, "released": True}
    return "prefilter", "adaptive_blur", {"channels": channels}, told, {r"^norm\.": "bn."}


_KNOWN: dict[str, Callable[[_Weights, _Weights], Any]] = {
    "hr_channel_compressor.weight": _freqfusion,
    "channel_compressor.weight": _carafe,
    "offset.weight": _dysample,
    "freq_weight_conv.weight": _freqmix,
    "conv.weight": _adaptive_blur,
}
"""By a key that it has and those below it do not."""
