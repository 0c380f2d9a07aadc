# SPDX-License-Identifier: Apache-2.0
"""Weights of torchvision's detectors (Faster and Mask R-CNN with ResNet and pyramid) in networks of this library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from .renaming import Rules, load_renamed, published_name, tensors

_RULES: Rules = {r"^backbone\.encoder\.body\.": "backbone.body.", r"^backbone\.neck\.": "backbone.fpn."}
"""Names here to torchvision's."""

_FIRST_RELEASE: Rules = {
    r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$": r"\1.0.\2",
    r"^rpn\.head\.conv\.(weight|bias)$": r"rpn.head.conv.0.0.\1",
    **{rf"^roi_heads\.mask_head\.mask_fcn{i + 1}\.(weight|bias)$": rf"roi_heads.mask_head.{i}.0.\1" for i in range(4)},
}
"""Names in files of torchvision's first releases, its published weights among them, to today's."""

_COUNTER = "num_batches_tracked"
_SEMANTIC = "semantic_head."


def load_torchvision_(model: nn.Module, state_dict: Mapping[str, Any]) -> list[str]:
    """Load the weights of a detector of torchvision into a detector of this library with a ResNet of timm, in place.

    The network of torchvision's ``maskrcnn_resnet50_fpn`` is ``create_model("mask_rcnn", "resnet50", classes=90,
    fusion="nearest")``, that of its ``_v2`` has ``version=2``. Its published weights of version 1 were trained with
    ``norm="frozen", norm_eps=0.0``.

    Args:
        model: a :class:`~dealias.models.DetectionModel`. Fusions, prefilters, mixers and a semantic branch, which
            torchvision does not have, are left as they are.
        state_dict: what ``torch.load(path, weights_only=True)`` or ``WEIGHTS.get_state_dict()`` gives.

    Returns:
        The keys of ``model`` that were left.

    Raises:
        ValueError: missing, unexpected or misshapen weights, named as in torchvision; nothing is loaded.
    """
    from dealias.models.parts import NEW_KINDS  # not before: networks need more than torch

    own = model.state_dict()
    new = [f"{name}." for name, module in model.named_modules() if isinstance(module, NEW_KINDS)]
    left = [key for key in own if key.startswith((*new, _SEMANTIC))]
    weights = {published_name(key, _FIRST_RELEASE): value for key, value in tensors(state_dict).items()}
    known = {published_name(key, _RULES) for key in own}
    fitting = {key: x for key, x in weights.items() if key in known or not key.endswith(_COUNTER)}  # norms frozen here
    load_renamed(model, fitting | {published_name(key, _RULES): own[key] for key in left}, _RULES)
    return left
