# SPDX-License-Identifier: Apache-2.0
"""Any timm backbone with pyramid features as an encoder: four levels from stride 4 on, NCHW, any image size."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import timm
import torch.nn.functional as F
from timm.models import is_model_in_modules
from torch import Tensor, nn

from .stages import Stage, find_stages
from .weights import load_weights

STRIDES = (4, 8, 16, 32)
"""The strides of the pyramid, fine to coarse, where no stage is dilated; every decoder takes it."""

_SWIN = ("swin_transformer", "swin_transformer_v2", "swin_transformer_v2_cr")

# timm families whose patches, windows or parallel branches meet only on images of a whole multiple of this many pixels
_IMAGE_MULTIPLES = dict.fromkeys(_SWIN, 4) | {"dla": 32, "hrnet": 32, "hieradet_sam2": 32, "mobilevit": 64}

# timm families with members whose position tables hold for one image size
_ONE_SIZE = ("byoanet", "coat", "efficientformer", "efficientformer_v2", "gcvit", "hiera", "maxxvit")


# arguments by which timm reads or downloads weights: a stored configuration must not lead it to any
_SOURCES = ("cache_dir", "checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay")


class TimmEncoder(nn.Module):
    """The feature pyramid of a timm backbone.

    Of several feature maps with one stride the last is taken. A map has ``ceil(H / stride)`` rows, or the floor where
    the backbone drops an incomplete patch. Families that need whole multiples of some size (Swin, HRNet, DLA, ...) get
    the image completed with zeros at the bottom and right, and their maps are cropped to ``ceil(H / stride)``. Families
    whose position tables hold for one image size (MaxViT, CoaT, GC ViT, ...) take that size only.

    Args:
        name: a timm model name, with or without a weight tag, such as ``resnet50`` or ``convnext_tiny.fb_in22k``.
        weights: None (random), ``"imagenet"`` (the weights timm knows for this name, downloaded once) or the path of a
            local ``.safetensors``, ``.pth`` or ``.pt`` file with timm's keys, read without running code from it.
        in_channels: channels of the image; the first convolution of loaded weights is adapted when it differs.
        drop_path_rate: stochastic depth, in [0, 1), active in training only.
        options: further arguments of the timm model, such as ``{"stem_width": 16}``.
        output_stride: 32; or 16 or 8, after which the stages dilate instead of striding, for families that can
            (ResNet, RegNet, ConvNeXt, EfficientNet, MobileNet, ...).

    Attributes:
        channels: channels of the four maps, fine to coarse.
        strides: of the four maps: :data:`STRIDES`, none above ``output_stride``.
        in_channels: channels of the image.

    Raises:
        ValueError: unknown name or option, a backbone without these four strides, or weights that do not fit.

    >>> TimmEncoder("test_resnet").channels
    (32, 48, 192, 96)
    >>> TimmEncoder("resnet18", output_stride=8).strides
    (4, 8, 8, 8)
    """

    def __init__(
        self,
        name: str,
        weights: str | None = None,
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        options: Mapping[str, Any] | None = None,
        output_stride: int = 32,
    ) -> None:
        super().__init__()
        check_name(name, pretrained=weights == "imagenet")
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f"drop_path_rate must be in [0, 1), got {drop_path_rate}")
        if found := sorted(set(options or {}).intersection(_SOURCES)):
            raise ValueError(f"options of a backbone cannot say where weights are, got {found}; use weights")
        self.strides = _pyramid_strides(output_stride)
        arguments = _arguments(name, in_channels, drop_path_rate, output_stride) | dict(options or {})
        body = _build(name, weights == "imagenet", arguments)
        self._indices = _pyramid_indices(name, body.feature_info.reduction(), self.strides)
        self._channels_last = getattr(body, "output_fmt", "NCHW") == "NHWC"  # timm leaves it out where it is NCHW
        self._multiple = next((m for f, m in _IMAGE_MULTIPLES.items() if is_model_in_modules(name, (f,))), 1)
        self._image_size = _only_image_size(name, arguments)
        self.channels: tuple[int, ...] = tuple(body.feature_info.channels()[i] for i in self._indices)
        self.in_channels = in_channels
        self.body: nn.Module = body
        if weights is not None and weights != "imagenet":
            load_weights(body, weights, name, arguments)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the pyramid.

        Args:
            images: [B, in_channels, H, W], H and W at least 32.

        Returns:
            Four maps [B, channels[i], about H / strides[i], about W / strides[i]], fine to coarse.

        Raises:
            ValueError: the backbone takes one image size only and this is another.
        """
        height, width = images.shape[-2:]
        if self._image_size is not None and (height, width) != self._image_size:
            only = " x ".join(map(str, self._image_size))
            raise ValueError(f"this backbone takes images of {only} only, got {height} x {width}")
        if self._multiple > 1:
            images = F.pad(images, (0, -width % self._multiple, 0, -height % self._multiple))
        maps = self.body(images)
        features = [maps[i] for i in self._indices]
        if self._channels_last:
            features = [x.permute(0, 3, 1, 2) for x in features]
        if self._multiple > 1:
            sizes = [(-(-height // stride), -(-width // stride)) for stride in self.strides]
            features = [x[..., :rows, :columns] for x, (rows, columns) in zip(features, sizes, strict=True)]
        return features

    def stages(self) -> list[Stage]:
        """The stages that lead to the three coarser levels, where modules can be put in; dilated ones have stride 1.

        Raises:
            ValueError: they are not known for this backbone; lists the families for which they are.
        """
        return find_stages(self.body, self._indices)


def check_name(name: str, pretrained: bool) -> None:
    """Check that timm has a model and, if they are wanted, weights for it.

    Raises:
        ValueError: it has not; the message names close ones.
    """
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=5)
        hint = f"close names: {', '.join(close)}" if close else "timm.list_models() has them all"
        raise ValueError(f"unknown timm backbone {name!r}; {hint}")
    known = timm.list_pretrained(f"{name.partition('.')[0]}.*")
    if "." in name and name not in known:
        raise ValueError(f"timm has no weights {name!r}; it has: {', '.join(known) or 'none'}")
    if pretrained and not known:
        raise ValueError(f"timm has no pretrained weights for {name!r}; weights may be None or the path of a file")


def _arguments(name: str, in_channels: int, drop_path_rate: float, output_stride: int) -> dict[str, Any]:
    """What the timm model is built with; what not every backbone knows is left out where it changes nothing."""
    arguments: dict[str, Any] = {"in_chans": in_channels}
    if is_model_in_modules(name, _SWIN):
        arguments["strict_img_size"] = False
    if drop_path_rate:
        arguments["drop_path_rate"] = drop_path_rate
    if output_stride != STRIDES[-1]:
        arguments["output_stride"] = output_stride
    return arguments


def _build(name: str, pretrained: bool, arguments: Mapping[str, Any]) -> Any:
    try:
        return timm.create_model(name, pretrained=pretrained, features_only=True, **arguments)
    except TypeError as error:  # how timm's models report an argument that they do not have
        raise ValueError(f"timm's {name!r} does not take {dict(arguments)}: {error}") from error


def _pyramid_strides(output_stride: int) -> tuple[int, ...]:
    if output_stride not in STRIDES[1:]:
        raise ValueError(f"output_stride must be one of {', '.join(map(str, STRIDES[1:]))}, got {output_stride}")
    return tuple(min(stride, output_stride) for stride in STRIDES)


def _pyramid_indices(name: str, strides: list[int], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """The last feature map of each wanted stride, or the last ones where several levels have it."""
    found = {stride: [i for i, s in enumerate(strides) if s == stride] for stride in wanted}
    if any(len(found[stride]) < wanted.count(stride) for stride in wanted):
        raise ValueError(
            f"{name!r} has features at strides {', '.join(map(str, strides))}; "
            f"a pyramid of {', '.join(map(str, wanted))} is needed"
        )
    return tuple(i for stride, indices in found.items() for i in indices[-wanted.count(stride) :])


def _only_image_size(name: str, arguments: Mapping[str, Any]) -> tuple[int, int] | None:
    """The (height, width) that a backbone is tied to; None for the many that take any."""
    known = timm.get_pretrained_cfg(name)
    if known is None or not known.fixed_input_size or not is_model_in_modules(name, _ONE_SIZE):
        return None
    size = arguments.get("img_size", known.input_size[-2:])
    return (size, size) if isinstance(size, int) else (size[0], size[1])
