# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from dealias.backbones import STRIDES, TimmEncoder
from dealias.backbones.timm_encoder import _pyramid_indices

SWIN = {"embed_dim": 24, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8)}
BACKBONES = {
    "test_resnet": {},
    "resnet18": {},
    "test_convnext": {},
    "mobilenetv3_small_050": {},
    "test_mambaout": {},
    "swin_tiny_patch4_window7_224": SWIN,
    "dla46_c": {},
    "mobilevitv2_050": {},
}


@pytest.mark.parametrize("name", BACKBONES)
def test_pyramid_of_any_image_size(name):
    encoder = TimmEncoder(name, options=BACKBONES[name]).eval()
    assert encoder.strides == STRIDES == (4, 8, 16, 32)
    for height, width in ((32, 32), (33, 47), (65, 97)):
        with torch.no_grad():
            features = encoder(torch.randn(1, 3, height, width))
        assert tuple(x.shape[1] for x in features) == encoder.channels
        for x, stride in zip(features, STRIDES, strict=True):
            assert x.shape[-2] in (height // stride, -(-height // stride))
            assert x.shape[-1] in (width // stride, -(-width // stride))


def test_maps_are_those_of_timm_at_their_strides():
    encoder = TimmEncoder("test_resnet").eval()
    images = torch.randn(1, 3, 64, 96)
    maps = encoder.body(images)
    expected = [maps[i] for i in (1, 2, 3, 4)]  # strides 2, 4, 8, 16, 32
    assert all(torch.equal(a, b) for a, b in zip(encoder(images), expected, strict=True))


def test_channels_last_backbone_gives_nchw():
    encoder = TimmEncoder("swin_tiny_patch4_window7_224", options=SWIN).eval()
    images = torch.randn(1, 3, 64, 96)
    for x, y in zip(encoder(images), encoder.body(images), strict=True):
        assert torch.equal(x.movedim(1, -1), y)


def test_backbone_of_whole_multiples_sees_the_image_completed_with_zeros():
    encoder = TimmEncoder("dla46_c").eval()
    images = torch.randn(1, 3, 33, 47)
    completed = F.pad(images, (0, 64 - 47, 0, 64 - 33))
    for x, y in zip(encoder(images), encoder(completed), strict=True):
        assert torch.equal(x, y[..., : x.shape[-2], : x.shape[-1]])
    assert encoder(images)[0].shape[-2:] == (9, 12)


def test_last_map_of_each_stride():
    assert _pyramid_indices("any", [2, 4, 4, 8, 16, 16, 32, 64], STRIDES) == (2, 3, 5, 6)
    assert _pyramid_indices("any", [2, 4, 4, 8, 16, 16], (4, 8, 16, 16)) == (2, 3, 4, 5)


@pytest.mark.parametrize("name", ["resnet18", "test_convnext", "mobilenetv2_100"])
@pytest.mark.parametrize(("output_stride", "strides"), [(8, (4, 8, 8, 8)), (16, (4, 8, 16, 16)), (32, STRIDES)])
def test_dilated_backbones(name, output_stride, strides):
    encoder = TimmEncoder(name, output_stride=output_stride).eval()
    plain = TimmEncoder(name).eval()
    plain.load_state_dict(encoder.state_dict())
    assert encoder.strides == strides and encoder.channels == plain.channels
    assert [stage.stride for stage in encoder.stages()] == [b // a for a, b in itertools.pairwise(strides)]
    images = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        features, others = encoder(images), plain(images)
    for x, y, stride, other in zip(features, others, strides, STRIDES, strict=True):
        assert abs(x.shape[-2] - 65 / stride) < 1 and abs(x.shape[-1] - 97 / stride) < 1
        if stride == other == strides[-1] or stride < strides[-1]:
            assert torch.equal(x, y), "what comes before the dilated stages is as it was"


@pytest.mark.parametrize("channels", [1, 5])
def test_image_channels(channels):
    encoder = TimmEncoder("test_resnet", in_channels=channels).eval()
    assert encoder.in_channels == channels
    assert len(encoder(torch.randn(1, channels, 32, 32))) == 4


def test_drop_path_is_active_in_training_only():
    torch.manual_seed(0)
    encoder = TimmEncoder("test_convnext", drop_path_rate=0.9)
    images = torch.randn(2, 3, 32, 32)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    first, second = encoder(images)[-1], encoder(images)[-1]
    assert not torch.equal(first, second)
    encoder.eval()
    assert torch.equal(encoder(images)[-1], encoder(images)[-1])


def test_options_reach_the_backbone():
    encoder = TimmEncoder("resnet10t", options={"channels": (8, 16, 24, 32), "stem_width": 4, "stem_type": "deep"})
    assert encoder.channels == (8, 16, 24, 32)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnt50", {}, "unknown timm backbone 'resnt50'; close names: .*resnet50"),
        ("xyz!", {}, r"unknown timm backbone 'xyz!'; timm.list_models"),
        ("resnet18.wrong_tag", {}, "no weights 'resnet18.wrong_tag'; it has: .*resnet18.a1_in1k"),
        ("test_mambaout", {"weights": "imagenet"}, "no pretrained weights for 'test_mambaout'"),
        ("test_vit", {}, r"'test_vit' has features at strides 16, 16.*pyramid of 4, 8, 16, 32"),
        ("resnet18", {"options": {"output_stride": 16}}, "'resnet18' has features at strides 2, 4, 8, 16, 16"),
        ("resnet18", {"output_stride": 4}, "output_stride must be one of 8, 16, 32, got 4"),
        ("swin_tiny_patch4_window7_224", {"output_stride": 16}, "does not take .*output_stride"),
        ("resnet18", {"options": {"depth": 3}}, "'resnet18' does not take .*depth"),
        ("vgg11", {"drop_path_rate": 0.1}, "'vgg11' does not take .*drop_path_rate"),
        ("resnet18", {"drop_path_rate": 1.5}, r"drop_path_rate must be in \[0, 1\), got 1.5"),
    ],
)
def test_bad_arguments(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        TimmEncoder(name, **arguments)


@pytest.mark.parametrize(("options", "size"), [({}, (224, 224)), ({"img_size": (64, 96)}, (64, 96))])
def test_backbone_tied_to_one_image_size_says_so(options, size):
    encoder = TimmEncoder("gcvit_xxtiny", options=options).eval()
    with pytest.raises(ValueError, match=f"images of {size[0]} x {size[1]} only, got 33 x 47"):
        encoder(torch.zeros(1, 3, 33, 47))
    with torch.no_grad():
        assert encoder(torch.zeros(1, 3, *size))[0].shape[-2:] == (size[0] // 4, size[1] // 4)


def test_imagenet_asks_timm_for_its_weights(monkeypatch):
    build, asked = timm.create_model, []

    def create(name, pretrained, **options):
        asked.append((name, pretrained))
        return build(name, **options)

    monkeypatch.setattr(timm, "create_model", create)
    TimmEncoder("test_resnet.r160_in1k", weights="imagenet")
    TimmEncoder("test_resnet.r160_in1k")
    assert asked == [("test_resnet.r160_in1k", True), ("test_resnet.r160_in1k", False)]
