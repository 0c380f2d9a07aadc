# SPDX-License-Identifier: Apache-2.0
"""Published InternImage checkpoints: what they are taken for, and what is refused."""

import pytest
import torch
from torch import nn

from dealias import compat
from dealias.backbones import DCNv3, create_encoder
from dealias.compat import internimage, load_published
from dealias.models import create_model, rebuild

SMALL = {"channels": [8, 12, 16, 20], "depths": [1, 1, 2, 1], "groups": [2, 3, 2, 5], "mlp_ratio": 2.0}
IMAGES = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def shaken(network):
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.eval()


def backbone(**options):
    encoder = shaken(create_encoder("internimage_t", options=SMALL | options))
    published = internimage.to_published(encoder)
    return encoder, {key.removeprefix("backbone."): value for key, value in published.items()}


def load(weights, **options):
    return load_published(weights, layout="internimage", **options)


def assert_same(found, expected, images=IMAGES):
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(found(images), expected(images), strict=True))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, {}),
        ({"norm_position": "after", "layer_scale": None}, {}),
        ({"norm_position": "both", "layer_scale": None, "center_scale": True, "guide_kernel": 5}, {}),
        ({"norm": "batch", "mlp_ratio": 2.7}, {}),
        ({"norm_position": "after", "level_norm": True}, {"norm_position": "after"}),
        ({"offset_scale": 2.0, "activation": "silu"}, {"offset_scale": 2.0, "activation": "silu"}),
        ({"remove_center": True}, {"remove_center": True}),
        ({"norms_after": [0]}, {"norms_after": [0]}),
    ],
    ids=str,
)
def test_keys_and_shapes_tell_the_backbone(options, told):
    encoder, weights = backbone(**options)
    classifier = {f"{name}.weight": torch.zeros(3) for name in ("head", "conv_head.0", "fc_norm.0", "dcnv3_head_x4.0")}
    assert_same(load({"model": weights | classifier}, **told), encoder)


def test_extra_norms_come_after_every_sixth_block():
    encoder, weights = backbone(depths=[1, 1, 7, 1], norms_after=[5])
    assert_same(load(weights), encoder)


def test_networks_of_a_known_size_scale_their_offsets_as_published(monkeypatch):
    sizes = {name: tuple(SMALL[name]) for name in ("channels", "depths", "groups")}
    monkeypatch.setitem(internimage.INTERNIMAGES, "internimage_x", sizes | {"offset_scale": 2.0})
    encoder, weights = backbone(offset_scale=2.0)
    assert_same(load(weights), encoder)
    with torch.no_grad():
        assert not torch.allclose(load(weights, offset_scale=1.0)(IMAGES)[-1], encoder(IMAGES)[-1])


@pytest.mark.parametrize("auxiliary", [True, False])
def test_segmentation_network(auxiliary):
    options = {"auxiliary": auxiliary, "auxiliary_channels": 6, "decoder_channels": 16, "encoder_options": SMALL}
    network = shaken(create_model("upernet", "internimage_t", classes=5, **options))
    weights = internimage.to_published(network)
    assert "decode_head.psp_modules.0.1.conv.weight" in weights and "backbone.patch_embed.norm1.1.weight" in weights
    loaded = load({"state_dict": {f"module.{key}": value for key, value in weights.items()}})
    assert_same(loaded, network)
    again = rebuild(loaded.config).eval()
    again.load_state_dict(loaded.state_dict())
    assert_same(again, network)


def test_second_norms_that_are_not_applied_are_left_out():
    encoder, weights = backbone()
    unused = {f"levels.{n}.blocks.0.res_post_norm1.0.weight": torch.zeros(c) for n, c in enumerate(SMALL["channels"])}
    assert_same(load(weights | unused), encoder)


def test_weights_for_create_model(tmp_path):
    encoder, weights = backbone(offset_scale=2.0)
    found = internimage.encoder_weights({"model": weights | {"head.bias": torch.zeros(3)}}, offset_scale=2.0)
    torch.save(found, tmp_path / "encoder.pth")
    options = SMALL | {"offset_scale": 2.0}
    assert_same(create_encoder("internimage_t", str(tmp_path / "encoder.pth"), options=options).eval(), encoder)
    with pytest.raises(ValueError, match=r"do not fit: unexpected backbone\.extra"):
        internimage.encoder_weights(weights | {"extra": torch.zeros(1)})


def test_what_does_not_fit_is_told_by_published_names():
    weights = backbone()[1]
    weights["levels.1.blocks.0.dcn.offset.weight"] = torch.zeros(3, 12)
    del weights["levels.0.downsample.conv.weight"]
    with pytest.raises(ValueError, match="published weights do not fit") as caught:
        load(weights)
    message = str(caught.value)
    assert "missing backbone.levels.0.downsample.conv.weight" in message
    assert "backbone.levels.1.blocks.0.dcn.offset.weight is (3, 12) instead of (54, 12)" in message
    with pytest.raises(
        ValueError, match=r"no checkpoint of this layout: backbone\.levels\.0\.blocks\.0\.norm1\.0\.weight"
    ):
        load({"weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("published", "own"),
    [
        ({}, {}),
        ({"dw_kernel_size": 5, "norm_layer": "BN", "act_layer": "SiLU"}, {"guide_kernel": 5, "norm": "batch"}),
        ({"center_feature_scale": True, "offset_scale": 2.0}, {"center_scale": True, "offset_scale": 2.0}),
        ({"kernel_size": 5, "pad": 4, "dilation": 2, "remove_center": True}, {"kernel_size": 5, "dilation": 2}),
    ],
    ids=str,
)
def test_module_equals_the_native_one(published, own):
    own |= {"activation": "silu"} if "act_layer" in published else {}
    own |= {"remove_center": True} if "remove_center" in published else {}
    torch.manual_seed(0)
    ours = compat.DCNv3(channels=12, group=3, **published)
    torch.manual_seed(0)
    native = DCNv3(12, 3, **own)
    for parameter, other in zip(sorted_parameters(ours), sorted_parameters(native), strict=True):
        assert parameter.shape == other.shape
    x = torch.randn(1, 5, 6, 12)
    assert torch.equal(ours(x), native(x))


def sorted_parameters(module):
    return sorted(module.parameters(), key=lambda p: tuple(p.shape))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"norm_layer": "layer"}, r"needs norm_layer of \('LN', 'BN'\)"),
        ({"act_layer": "gelu"}, "got norm_layer='LN', act_layer='gelu'"),
        ({"stride": 2}, "must keep its size, got kernel_size=3, stride=2"),
        ({"kernel_size": 5}, "must keep its size, got kernel_size=5, stride=1, pad=1"),
    ],
)
def test_module_options_that_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        compat.DCNv3(**wrong)


def test_function_takes_square_kernels_only():
    x, offset, mask = (torch.zeros(1, 4, 4, c) for c in (4, 12, 6))
    with pytest.raises(ValueError, match=r"must be square, got \(\(3, 2\)"):
        compat.dcnv3_core_pytorch(x, offset, mask, 3, 2, 1, 1, 1, 1, 1, 1, 1, 4, 1.0)
    with pytest.raises(ValueError, match="has not 2 x 4 channels"):
        compat.dcnv3_core_pytorch(x, offset, mask, 3, 3, 1, 1, 1, 1, 1, 1, 2, 4, 1.0)
    with pytest.raises(AttributeError, match="has no attribute 'DCNv4'"):
        _ = compat.DCNv4
