# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of InternImage (CVPR 2023, arXiv:2211.05778): backbones, and UPerNet segmentation networks with them.

Keys and shapes tell the network, but the scale of the offsets, activations, and for unpublished mixtures of options
where the norms are.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from dealias.backbones import INTERNIMAGES, InternImage, create_internimage
from dealias.models import create_model

from . import upernet
from .internimage_names import rules_of
from .plan import Plan, encoder_part
from .renaming import published_name, shape_of, tensors

_CLASSIFIER = re.compile(r"^(conv_head|head|fc_norm|clip_projector|dcnv3_head_x[34])\.")
"""What classification networks have beside the backbone."""

_HEADS = ("decode_head.", "auxiliary_head.")
_SIZES = ("channels", "depths", "groups")
_KERNEL_TAPS = 9
_NORM_EVERY = 6
"""Blocks of the third level between two of its norms, in the published networks that have them."""


def plan(
    state_dict: Mapping[str, Tensor],
    *,
    offset_scale: float | None = None,
    activation: str | None = None,
    norm_position: str | None = None,
    norms_after: Sequence[int] | None = None,
    remove_center: bool = False,
) -> Plan:
    """Build the network of a published checkpoint: a segmentation network, or a backbone alone.

    Args:
        state_dict: tensors by their published names: of a segmentation network with UPerNet (``backbone``,
            ``decode_head`` and perhaps ``auxiliary_head``), or of a backbone, whose classifier is left out.
        offset_scale: None: that of the published network of this size, else 1.
        activation: None for ``"gelu"``.
        norm_position: None: as the norms tell; a network with ``center_feature_scale`` and ``post_norm`` is
            ``"after"``.
        norms_after: blocks of the third level with a norm of their own; None: every sixth, as published.
        remove_center: the kernels have no central tap.

    Raises:
        ValueError: another network than the published ones.
    """
    weights = _under_backbone(state_dict)
    left_out = {key: "of a classifier" for key in state_dict if key not in weights and f"backbone.{key}" not in weights}
    told = {"offset_scale": offset_scale, "activation": activation, "norm_position": norm_position}
    arguments = _encoder(weights, told, norms_after, remove_center)
    used = _used(weights, arguments)
    left_out |= {key: "never read" for key in weights if key not in used}
    if any(key.startswith(_HEADS) for key in weights):
        network = create_model("upernet", **arguments, **upernet.find_heads(weights))
        return Plan(network, used, rules_of(network.encoder), left_out)
    encoder = _backbone(arguments)
    return Plan(nn.ModuleDict({"encoder": encoder}), used, rules_of(encoder), left_out, part=encoder_part(arguments))


def to_published(network: nn.Module) -> dict[str, Tensor]:
    """The other way round: the weights of what :func:`plan` gives by their published names, ``backbone.`` included."""
    whole = nn.ModuleDict({"encoder": network}) if isinstance(network, InternImage) else network
    rules = rules_of(whole.get_submodule("encoder"))
    return {published_name(key, rules): value for key, value in whole.state_dict().items()}


def encoder_weights(state_dict: Mapping[str, Any], **options: Any) -> dict[str, Tensor]:
    """The weights of a published InternImage by this library's names.

    Save them, and the file is what ``encoder_weights`` of :func:`dealias.models.create_model` takes.

    Args:
        state_dict: what ``torch.load(path, weights_only=True)`` gives for a backbone or a segmentation network.
        options: of :func:`plan`.

    Raises:
        ValueError: keys and shapes that do not fit; lists them by their published names.
    """
    backbone = {key: value for key, value in tensors(state_dict).items() if not key.startswith(_HEADS)}
    found = plan(backbone, **options)
    found.load()
    return found.module.state_dict()


def _under_backbone(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with ``backbone.`` before those of a backbone that stands alone."""
    if any(key.startswith("backbone.") for key in state_dict):
        return dict(state_dict)
    return {f"backbone.{key}": value for key, value in state_dict.items() if not _CLASSIFIER.match(key)}


def _backbone(arguments: Mapping[str, Any]) -> InternImage:
    return create_internimage(
        arguments["encoder_name"], in_channels=arguments["in_channels"], options=arguments["encoder_options"]
    )


def _encoder(
    weights: Mapping[str, Tensor],
    told: Mapping[str, Any],
    norms_after: Sequence[int] | None,
    remove_center: bool,
) -> dict[str, Any]:
    """The arguments of ``create_model`` for the backbone: the known network of this size, and what is different."""
    found = _sizes(weights, remove_center) | _norms(weights, told["norm_position"], norms_after)
    found |= {name: value for name, value in told.items() if value is not None}
    name = next(
        (name for name, known in INTERNIMAGES.items() if all(found[size] == known[size] for size in _SIZES)),
        next(iter(INTERNIMAGES)),
    )
    defaults = {p.name: p.default for p in inspect.signature(InternImage).parameters.values()}
    known = defaults | INTERNIMAGES[name]
    return {
        "encoder_name": name,
        "encoder_options": {option: value for option, value in found.items() if value != known[option]},
        "in_channels": shape_of(weights, "backbone.patch_embed.conv1.weight")[1],
    }


def _sizes(weights: Mapping[str, Tensor], remove_center: bool) -> dict[str, Any]:
    """What the shapes tell."""
    first = [f"backbone.levels.{n}.blocks.0." for n in range(4)]
    channels = tuple(shape_of(weights, f"{block}norm1.0.weight")[0] for block in first)
    blocks = {m.groups() for key in weights if (m := re.match(r"backbone\.levels\.(\d)\.blocks\.(\d+)\.", key))}
    hidden = shape_of(weights, f"{first[-1]}mlp.fc1.weight")[0]
    taps = _KERNEL_TAPS - remove_center
    return {
        "channels": channels,
        "depths": tuple(sum(level == str(n) for level, _ in blocks) for n in range(4)),
        "groups": tuple(shape_of(weights, f"{block}dcn.mask.bias")[0] // taps for block in first),
        # the published code rounds down, and so does ours: a half more keeps that from taking one channel off
        "mlp_ratio": hidden / channels[-1] if hidden % channels[-1] == 0 else (hidden + 0.5) / channels[-1],
        "guide_kernel": shape_of(weights, f"{first[0]}dcn.dw_conv.0.weight")[-1],
        "remove_center": remove_center,
    }


def _norms(weights: Mapping[str, Tensor], position: str | None, norms_after: Sequence[int] | None) -> dict[str, Any]:
    """What the names tell: norms, gains and shares."""
    block = "backbone.levels.0.blocks.0."
    level_norm = "backbone.levels.0.norm.0.weight" in weights
    scaled = f"{block}gamma1" in weights
    both = f"{block}res_post_norm1.0.weight" in weights and not scaled
    found = position or ("both" if both else "before" if level_norm else "after")
    extra = sum(re.fullmatch(r"backbone\.levels\.2\.post_norms\.\d+\.0\.weight", key) is not None for key in weights)
    every_sixth = tuple(_NORM_EVERY * (n + 1) - 1 for n in range(extra))
    return {
        "norm_position": found,
        "layer_scale": 1.0 if scaled else None,
        "level_norm": None if level_norm == (found != "after") else level_norm,
        "norms_after": every_sixth if norms_after is None else tuple(norms_after),
        "norm": "batch" if "backbone.patch_embed.norm1.0.running_mean" in weights else "layer",
        "center_scale": f"{block}dcn.center_feature_scale_proj_weight" in weights,
    }


def _used(weights: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> dict[str, Tensor]:
    """Without the second norms of branches that the published code makes, but applies without gains only."""
    position = (INTERNIMAGES[arguments["encoder_name"]] | arguments["encoder_options"]).get("norm_position", "before")
    return {key: value for key, value in weights.items() if position == "both" or ".res_post_norm" not in key}
