# SPDX-License-Identifier: Apache-2.0
"""Any backbone of transformers with pyramid features as an encoder: four levels from stride 4 on, any image size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from .stages import Stage
from .timm_encoder import STRIDES

TRANSFORMERS = "transformers"
"""What the names of these encoders begin with: ``transformers_swin`` has transformers' model type ``swin``."""

_SIDE = 64  # of the image on which the strides are measured
_OF_TIMM = "timm_backbone"  # which timm makes by its own name, without looking for it on a hub


class TransformersEncoder(nn.Module):
    """The feature pyramid of a backbone of transformers.

    Args:
        body: a backbone with four feature maps at :data:`~dealias.backbones.STRIDES`.
        in_channels: channels of the image.

    Attributes:
        channels: channels of the four maps, fine to coarse.
        strides: of the four maps.
        in_channels: channels of the image.

    Raises:
        ValueError: the maps have other strides.
    """

    def __init__(self, body: Any, in_channels: int = 3) -> None:
        super().__init__()
        self.body = body
        self.channels: tuple[int, ...] = tuple(body.channels)
        self.strides = STRIDES
        self.in_channels = in_channels
        sides = _sides(body, in_channels)
        if sides != [_SIDE // stride for stride in STRIDES]:
            raise ValueError(
                f"a pyramid of strides {', '.join(map(str, STRIDES))} is needed; {type(body).__name__} makes maps of "
                f"{', '.join(map(str, sides))} rows of an image of {_SIDE}"
            )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the pyramid of images [B, in_channels, H, W], H and W at least 32.

        Returns:
            Four maps [B, channels[i], about H / strides[i], about W / strides[i]], fine to coarse.
        """
        return list(self.body(images).feature_maps)

    def stages(self) -> list[Stage]:
        """The places for other modules, which these backbones do not have.

        Raises:
            ValueError: always.
        """
        raise ValueError("the stages of transformers' backbones are not known: no prefilters, mixers or frozen stages")


def create_transformers_encoder(
    name: str,
    weights: str | None = None,
    in_channels: int = 3,
    drop_path_rate: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> TransformersEncoder:
    """Build a backbone of transformers, with random weights.

    Args:
        name: ``transformers_`` and a model type of transformers that has a backbone, such as ``transformers_swin``.
        weights: None.
        in_channels: channels of the images.
        drop_path_rate: stochastic depth, in [0, 1), active in training only.
        options: fields of transformers' configuration of that type. Without ``out_features`` or ``out_indices`` the
            last four stages are taken.

    Raises:
        ImportError: transformers is not installed.
        ValueError: unknown type or option, weights, or a backbone with other strides.
    """
    try:
        from transformers import AutoBackbone
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING
        from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES as KNOWN
    except ImportError as error:
        raise ImportError(f"{name!r} needs transformers: pip install 'dealias[mask2former]'") from error
    kind, options = name.removeprefix(f"{TRANSFORMERS}_"), dict(options or {})
    kinds = [known for known in KNOWN if known != _OF_TIMM]
    if kind not in kinds:
        raise ValueError(f"transformers has no backbone {kind!r}; it has: {', '.join(kinds)}")
    if weights is not None:
        raise ValueError(f"{name!r} starts with random weights: weights must be None, got {weights!r}")
    known = {field.name for field in fields(CONFIG_MAPPING[kind])} | {"out_features", "out_indices"}
    if unknown := sorted(set(options) - known):
        raise ValueError(f"{name!r} has no option {', '.join(unknown)}; it accepts: {', '.join(sorted(known))}")
    if "out_features" not in options and "out_indices" not in options:
        options["out_indices"] = list(range(-len(STRIDES), 0))
    if "drop_path_rate" in known:
        options.setdefault("drop_path_rate", drop_path_rate)
    config = CONFIG_MAPPING[kind](**{"num_channels": in_channels} | options)
    return TransformersEncoder(AutoBackbone.from_config(config), in_channels)


@torch.no_grad()
def _sides(body: nn.Module, in_channels: int) -> list[int]:
    """Rows of the maps of a square image."""
    training = body.training
    device = next(body.parameters()).device
    maps: Any = body.eval()(torch.zeros(1, in_channels, _SIDE, _SIDE, device=device)).feature_maps
    body.train(training)
    return [x.shape[-2] for x in maps]
