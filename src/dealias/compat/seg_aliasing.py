# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of "When Semantic Segmentation Meets Frequency Aliasing" (ICLR 2024, arXiv:2403.09065).

They hold a ResNet with deep stem under ``backbone``, UPerNet under ``decode_head`` and an FCN head under
``auxiliary_head``. Keys and shapes tell the network, but a prefilter without weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dealias.filters import Blur
from dealias.filters.blur import binomial_kernel
from dealias.models import SegmentationModel, create_model

from . import upernet
from .plan import Plan
from .renaming import Rules, published_name, shape_of
from .resnet import find_resnet

_UNTOLD = "whether de-aliasing filters are before its strides: give the option prefilter, 'daf', or 'none' for a ResNet"

_MIXER = r"^encoder\.body\.(layer\d\.\d+)\.conv2\.mixer\."
_RULES: Rules = {
    r"^encoder\.body\.conv1\.": "backbone.stem.",
    r"^encoder\.body\.bn1\.": "backbone.stem.7.",
    rf"{_MIXER}spatial\.": r"backbone.\1.att.freq_weight_conv.",
    rf"{_MIXER}(low|high)_gate\.0\.": r"backbone.\1.att.channel_att_\2.1.",
    rf"{_MIXER}(low|high)_gate\.2\.": r"backbone.\1.att.channel_att_\2.3.",
    **{rf"^encoder\.body\.layer{i}\.0\.prefilter\.conv\.": f"backbone.AdaD.{i - 1}.conv." for i in (2, 3, 4)},
    **{rf"^encoder\.body\.layer{i}\.0\.prefilter\.norm\.": f"backbone.AdaD.{i - 1}.bn." for i in (2, 3, 4)},
    **{rf"^encoder\.body\.layer{i}\.0\.prefilter\.kernel$": f"backbone.AdaD.{i - 1}.filt" for i in (2, 3, 4)},
    r"^encoder\.body\.": "backbone.",
    **upernet.RULES,
}


def plan(
    state_dict: Mapping[str, Tensor],
    *,
    prefilter: str | None = None,
    prefilter_options: Mapping[str, Any] | None = None,
    released: bool = True,
) -> Plan:
    """Build the network of a published checkpoint.

    Args:
        state_dict: tensors by their published names.
        prefilter: the name of a prefilter of this library. None: ``"blur"`` or ``"adaptive_blur"`` where the checkpoint
            has one, else ``"daf"``, as in the published configurations.
        prefilter_options: its options, such as ``{"cutoff": 0.25}`` where the published ``freq_thres`` was not 0.35.
        released: compute as the published code does; False: as :func:`dealias.models.create_model` does by default.

    Raises:
        ValueError: another network than the published ones, or a prefilter other than the checkpoint's.
    """
    blurs = {key: value for key, value in state_dict.items() if re.search(r"^backbone\.AdaD\.\d\.filt$", key)}
    weights = {key: value for key, value in state_dict.items() if key not in blurs}
    found, options = _find_prefilter(blurs, weights)
    if prefilter is not None and found is not None and prefilter != found:
        raise ValueError(f"the checkpoint has the prefilter {found!r}, not {prefilter!r}")
    network = create_model(
        "upernet",
        **_encoder(weights),
        **upernet.find_heads(weights),
        prefilter=prefilter or found or "daf",
        prefilter_options=options | dict(prefilter_options or {}),
        mixer="freqmix" if any(".att." in key for key in weights) else None,
        released=released,
    )
    known = found or prefilter or network.config["mixer"]
    left_out = dict.fromkeys(blurs, "fixed, computed here")
    return Plan(network, weights, _RULES, left_out, untold="" if known else _UNTOLD)


def to_published(network: SegmentationModel) -> dict[str, Tensor]:
    """The other way round: the weights of a network that :func:`plan` made, by their published names."""
    weights = {published_name(key, _RULES): value for key, value in network.state_dict().items()}
    for key, module in network.named_modules():
        if isinstance(module, Blur):
            name = published_name(f"{key}.kernel", _RULES)
            weights[name] = module.kernel.repeat(module.channels or 1, 1, 1, 1)
    return weights


def _find_prefilter(blurs: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> tuple[str | None, dict[str, Any]]:
    """Name and options of a prefilter that the checkpoint has tensors of."""
    for key, kernels in blurs.items():
        expected = binomial_kernel(kernels.shape[-1]).expand(kernels.shape)
        if not torch.allclose(kernels.float(), expected, atol=1e-6):
            raise ValueError(f"{key} must be a binomial blur for every channel, got {kernels[0].tolist()}")
        return "blur", {"taps": kernels.shape[-1]}
    adaptive = weights.get("backbone.AdaD.1.conv.weight")
    if adaptive is not None:
        kernel_size = adaptive.shape[-1]
        return "adaptive_blur", {"kernel_size": kernel_size, "groups": adaptive.shape[0] // kernel_size**2}
    return None, {}


def _encoder(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of ``create_model`` for the backbone."""
    stem = shape_of(weights, "backbone.stem.0.weight")
    name = find_resnet(weights)
    bottlenecks = "backbone.layer1.0.conv3.weight" in weights
    return {
        "encoder_name": f"{name}c" if bottlenecks else name,
        "encoder_options": {"stem_type": "deep", "stem_width": stem[0]},
        "in_channels": stem[1],
    }
