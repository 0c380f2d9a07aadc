# SPDX-License-Identifier: Apache-2.0
"""Where mmdetection puts anchors and samples regions; torchvision rounds the former and shifts the latter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign, roi_align

_WHOLE_IMAGE_SIDE = 224
"""Side of the regions that are taken from stride 16 at least (arXiv:1612.03144)."""


class UnroundedAnchors(AnchorGenerator):
    """Anchors around the corners of cells at fixed strides, of sides that need not be whole pixels.

    Args:
        sizes: as in torchvision.
        aspect_ratios: as in torchvision.
        strides: of the levels, in pixels.

    >>> UnroundedAnchors(((32,),), ((0.5,),), (4,)).cell_anchors[0]
    tensor([[-22.6274, -11.3137,  22.6274,  11.3137]])
    """

    def __init__(
        self, sizes: Sequence[Sequence[int]], aspect_ratios: Sequence[Sequence[float]], strides: Sequence[int]
    ) -> None:
        super().__init__(sizes, aspect_ratios)
        self.strides = tuple(strides)

    def generate_anchors(
        self,
        scales: list[int],
        aspect_ratios: list[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device = torch.device("cpu"),  # noqa: B008  # as torchvision's
    ) -> Tensor:
        """Anchors around the origin, [sizes * ratios, 4], as in torchvision but for the rounding."""
        sides = torch.as_tensor(scales, dtype=dtype, device=device)
        down = torch.as_tensor(aspect_ratios, dtype=dtype, device=device).sqrt()
        widths, heights = ((ratios[:, None] * sides).flatten() / 2 for ratios in (1 / down, down))
        return torch.stack([-widths, -heights, widths, heights], dim=1)

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """Anchors of every image, [N, 4], level after level."""
        like = feature_maps[0]
        self.set_cell_anchors(like.dtype, like.device)
        sizes = [[x.shape[-2], x.shape[-1]] for x in feature_maps]
        strides = [[torch.tensor(stride, device=like.device)] * 2 for stride in self.strides]
        anchors = torch.cat(self.grid_anchors(sizes, strides))
        return [anchors] * len(image_list.image_sizes)


class CentredRoIAlign(MultiScaleRoIAlign):
    """Regions of the level that fits their size, sampled by centres of pixels, at as many points as they have pixels.

    Its base class is half a pixel off (``aligned=False``) and takes 2 x 2 points per bin.

    Args:
        output_size: bins along each axis.
        strides: of the levels that regions are taken from, in pixels; their names are numbers from 0 on.
    """

    def __init__(self, output_size: int, strides: Sequence[int] = (4, 8, 16, 32)) -> None:
        super().__init__([str(i) for i in range(len(strides))], output_size, sampling_ratio=0)
        self.strides = tuple(strides)

    def forward(self, x: Mapping[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        """Sample regions.

        Args:
            x: levels [B, C, H_i, W_i] by name.
            boxes: regions of every image, [N_i, 4], in pixels of the batch.
            image_shapes: not needed; torchvision gives them.

        Returns:
            [sum of N_i, C, output_size, output_size].
        """
        levels = [x[name] for name in self.featmap_names]
        images = torch.cat([torch.full((len(found), 1), i).to(found) for i, found in enumerate(boxes)])
        regions = torch.cat([images, torch.cat(boxes)], dim=1)
        chosen = self._levels(regions[:, 1:])
        sampled = levels[0].new_zeros(len(regions), levels[0].shape[1], *self.output_size)
        for number, (level, stride) in enumerate(zip(levels, self.strides, strict=True)):
            here = torch.nonzero(chosen == number)[:, 0]
            found = roi_align(level, regions[here].to(level.dtype), self.output_size, 1 / stride, aligned=True)
            sampled = sampled.index_put((here,), found.to(sampled.dtype))
        return sampled

    def _levels(self, boxes: Tensor) -> Tensor:
        """The level of each region: the finest one below half of 224 pixels, each of twice the size one coarser."""
        sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(min=0).sqrt()
        return torch.log2(sides * 4 / _WHOLE_IMAGE_SIDE + 1e-6).floor().clamp(0, len(self.strides) - 1)
