# SPDX-License-Identifier: Apache-2.0
"""Encoder and neck as torchvision's detectors take them: images in, levels by name out."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from dealias.necks import FeaturePyramid


class PyramidBackbone(nn.Module):
    """The levels of a feature pyramid, ``"0"`` to ``"3"`` at strides 4 to 32, then those that the neck adds.

    Args:
        encoder: images to four maps, fine to coarse.
        neck: the maps by name to levels by name.

    Attributes:
        out_channels: channels of every level.
    """

    def __init__(self, encoder: nn.Module, neck: FeaturePyramid) -> None:
        super().__init__()
        self.encoder, self.neck = encoder, neck
        self.out_channels = neck.out_channels

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Compute the levels of images [B, C, H, W], in the type of the images.

        Under autocast these are float32, because anchors and boxes are computed in the type of the levels.
        """
        maps = {str(i): x for i, x in enumerate(self.encoder(images))}
        return OrderedDict((name, level.to(images.dtype)) for name, level in self.neck(maps).items())
