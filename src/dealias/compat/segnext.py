# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of SegNeXt (arXiv:2209.08575) and of SegNeXt + FreqFusion (arXiv:2408.12879).

They hold MSCAN under ``backbone`` and the Hamburger head under ``decode_head``. Keys and shapes tell the network, with
DSConv-FF and DWT-FF in the place of FreqFusion too, but not how FreqFusion brings its guides to the fine grid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from dealias.backbones import MSCANS, create_encoder
from dealias.fusion import FreqFusion, Fusion
from dealias.fusion.similarity_sampler import SimilaritySampler
from dealias.fusion.wavelet import WaveletSplit
from dealias.heads import Growing
from dealias.models import SegmentationModel, create_model
from dealias.models.segnext import guide_channels, segnext_fusion

from .freqfusion_options import FIXED, FIXED_REASON, check_haar, freqfusion_options
from .freqfusion_variants import haar_buffers
from .plan import Plan, encoder_part
from .renaming import published_name, shape_of, tensors
from .segnext_names import RULES

_NEVER_USED = "decode_head.high2low_convs."
"""Weights that an option of the published head makes and nothing reads."""


def plan(
    state_dict: Mapping[str, Tensor],
    *,
    fusion_options: Mapping[str, Any] | None = None,
    decomposition_options: Mapping[str, Any] | None = None,
) -> Plan:
    """Build the network of a published checkpoint, or the backbone of one of ImageNet training.

    A head made with the published ``low2high_residual`` works, but its network has no configuration to rebuild it from.

    Args:
        state_dict: tensors by their published names.
        fusion_options: options of :class:`~dealias.fusion.FreqFusion` that a checkpoint does not tell, where they are
            not the published defaults: ``semi_conv``, ``comp_feat_upsample``, ``upsample_mode``, ``encoder_dilation``;
            for DWT-FF, whose published class has it always, ``attention``.
        decomposition_options: those of :class:`~dealias.heads.NMF`, whose defaults are the published numbers. The
            published code draws bases anew for every image; here only with ``{"seed": None}``.

    Raises:
        ValueError: another network than the published ones.
    """
    if not any(key.startswith("decode_head.") for key in state_dict):
        return _plan_backbone(state_dict)
    weights = {key: value for key, value in state_dict.items() if not key.startswith(_NEVER_USED)}
    fixed = {key: weights.pop(key) for key in list(weights) if FIXED.search(key)}
    network = create_model(
        "segnext",
        **_encoder(weights),
        **_fusion(weights, fixed, fusion_options or {}),
        classes=shape_of(weights, "decode_head.conv_seg.weight")[0],
        decoder_channels=shape_of(weights, "decode_head.align.conv.weight")[0],
        decomposition_options=decomposition_options,
    )
    if any(key.startswith("decode_head.low2high_convs.") for key in weights):
        head: Any = network.decoder
        head.path = _ResidualGrowing(_sizes(weights)["channels"][1:], head.path.fusions)
        network.config = {}
    left_out = dict.fromkeys(fixed, FIXED_REASON)
    left_out |= {key: "never read" for key in state_dict if key.startswith(_NEVER_USED)}
    return Plan(network, weights, RULES, left_out)


def to_published(network: SegmentationModel) -> dict[str, Tensor]:
    """The other way round: the weights of a SegNeXt of this library by their published names, fixed ones included."""
    weights = {published_name(key, RULES): value for key, value in network.state_dict().items()}
    for key, module in network.named_modules():
        if isinstance(module, SimilaritySampler):
            weights[published_name(f"{key}.positions", RULES)] = module.positions
        if isinstance(module, FreqFusion):
            windows = {"lowpass_window": module.lowpass_window, "highpass_window": module.highpass_window}
            for name, window in windows.items():
                published = torch.ones(1) if window is None else window[None, None]
                weights[published_name(f"{key}.{name}", RULES)] = published
        if isinstance(module, WaveletSplit):
            for name, value in haar_buffers().items():
                weights[published_name(f"{key}.{name}", RULES)] = value
    return weights


def encoder_weights(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a published MSCAN by this library's names.

    Save them, and the file is what ``encoder_weights`` of :func:`dealias.models.create_model` takes.

    Args:
        state_dict: what ``torch.load(path, weights_only=True)`` gives for a backbone trained on ImageNet, whose
            classifier is left out, or for a SegNeXt.

    Raises:
        ValueError: keys and shapes that do not fit; lists them by their published names.
    """
    found = _plan_backbone(tensors(state_dict))
    found.load()
    return found.module.state_dict()


def _plan_backbone(state_dict: Mapping[str, Tensor]) -> Plan:
    """The backbone of a classifier or of a SegNeXt."""
    heads = [key for key in state_dict if key.startswith(("head.", "decode_head."))]
    backbone = {
        f"backbone.{key.removeprefix('backbone.')}": value for key, value in state_dict.items() if key not in heads
    }
    found = _encoder(backbone)
    encoder = create_encoder(found["encoder_name"], in_channels=found["in_channels"], options=found["encoder_options"])
    left_out = dict.fromkeys(heads, "of the head")
    return Plan(nn.ModuleDict({"encoder": encoder}), backbone, RULES, left_out, part=encoder_part(found))


class _ResidualGrowing(Growing):
    """The published ``low2high_residual``: what the last step added goes into hr', and nothing is interleaved."""

    def __init__(self, channels: Sequence[int], fusions: Iterable[Fusion]) -> None:
        made = iter(fusions)
        super().__init__(channels, lambda hr_channels, lr_channels: next(made))
        self.residuals = nn.ModuleList(nn.Conv2d(before, c, 1) for before, c in pairwise(reversed(channels)))

    def join(self, step: int, hr: Tensor, lr_up: Tensor) -> Tensor:
        residual = self.residuals[step]
        return torch.cat([hr + residual(lr_up[:, : residual.in_channels]), lr_up], dim=1)


def _sizes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The sizes of the backbone."""
    embeddings = ["patch_embed1.proj.3", *(f"patch_embed{n}.proj" for n in (2, 3, 4))]
    channels = tuple(shape_of(weights, f"backbone.{name}.weight")[0] for name in embeddings)
    hidden = tuple(shape_of(weights, f"backbone.block{n}.0.mlp.fc1.weight")[0] for n in (1, 2, 3, 4))
    blocks = {m.groups() for key in weights if (m := re.match(r"backbone\.block(\d)\.(\d+)\.", key))}
    return {
        "channels": channels,
        "depths": tuple(sum(level == str(n) for level, _ in blocks) for n in (1, 2, 3, 4)),
        "mlp_ratios": tuple(wide // c for wide, c in zip(hidden, channels, strict=True)),
    }


def _encoder(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of ``create_model`` for the backbone."""
    sizes = _sizes(weights)
    name = next((name for name, known in MSCANS.items() if sizes == known), None)
    return {
        "encoder_name": name or next(iter(MSCANS)),
        "encoder_options": {} if name else sizes,
        "in_channels": shape_of(weights, "backbone.patch_embed1.proj.0.weight")[1],
    }


def _fusion(weights: Mapping[str, Tensor], fixed: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``create_model`` for the fusion."""
    prefixes = sorted({m[0] for key in weights if (m := re.match(r"decode_head\.freqfusions\.\d+\.", key))})
    if not prefixes:
        if options:
            raise ValueError(f"the checkpoint has no FreqFusion to give the options {dict(options)}")
        return {"fusion": "bilinear"}
    found = freqfusion_options(weights, fixed, prefixes[0]) | dict(options)
    guides = {}
    for prefix in prefixes:
        if "decomposition" in found:
            check_haar(fixed, f"{prefix}dwt.")
        guide, hr_channels = shape_of(weights, f"{prefix}hr_channel_compressor.weight")[:2]
        guides[hr_channels, shape_of(weights, f"{prefix}lr_channel_compressor.weight")[1]] = guide
    if all(guide == guide_channels(*pair) for pair, guide in guides.items()):
        return {"fusion": "freqfusion", "fusion_options": found}
    return {"fusion": partial(_guided, guides, found)}


def _guided(
    guides: Mapping[tuple[int, int], int], options: Mapping[str, Any], hr_channels: int, lr_channels: int
) -> Fusion:
    """FreqFusion with the guide channels of a checkpoint."""
    guide = guides.get((hr_channels, lr_channels), guide_channels(hr_channels, lr_channels))
    return segnext_fusion("freqfusion", hr_channels, lr_channels, compressed_channels=guide, **options)
