# SPDX-License-Identifier: Apache-2.0
"""Which ResNet the keys of a published checkpoint tell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

_RESNETS = {
    (False, (2, 2, 2, 2)): "resnet18",
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101",
    (True, (3, 8, 36, 3)): "resnet152",
}
"""timm's names by whether the blocks are bottlenecks and by their number in each stage."""

STAGES = ("layer1", "layer2", "layer3", "layer4")
"""Names of the stages in mmsegmentation and mmdetection."""


def find_resnet(weights: Mapping[str, Tensor], stages: Sequence[str] = STAGES) -> str:
    """Timm's name of the ResNet below ``backbone``, whatever its stem.

    Args:
        weights: tensors by their published names.
        stages: published names of the stages.

    Raises:
        ValueError: there is none of the known depths.
    """
    depths = tuple(len({m[1] for key in weights if (m := re.match(rf"backbone\.{s}\.(\d+)\.", key))}) for s in stages)
    kind = (f"backbone.{stages[0]}.0.conv3.weight" in weights, depths)
    if kind not in _RESNETS:
        known = ", ".join(f"{'-'.join(map(str, depths))} ({name})" for (_, depths), name in _RESNETS.items())
        raise ValueError(f"the backbone must have stages of {known} blocks, found {'-'.join(map(str, depths))}")
    return _RESNETS[kind]
