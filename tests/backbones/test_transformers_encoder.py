# SPDX-License-Identifier: Apache-2.0
"""Backbones of transformers as encoders: their own maps, their options, and which are refused."""

import pytest
import torch

from dealias.backbones import TransformersEncoder, create_encoder

transformers = pytest.importorskip("transformers")

SWIN = {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4}
CONVNEXT = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}


@pytest.mark.parametrize(("kind", "options", "channels"), [("swin", SWIN, 8), ("convnext", CONVNEXT, 8)])
@torch.no_grad()
def test_maps_are_those_of_the_backbone(kind, options, channels):
    encoder = create_encoder(f"transformers_{kind}", in_channels=4, options=options).eval()
    assert isinstance(encoder, TransformersEncoder)
    assert encoder.strides == (4, 8, 16, 32) and encoder.channels[0] == channels and encoder.in_channels == 4
    images = torch.randn(2, 4, 70, 91)
    maps = encoder(images)
    assert [x.shape[1] for x in maps] == list(encoder.channels)
    for stride, x in zip(encoder.strides, maps, strict=True):
        assert all(
            size // stride <= side <= -(-size // stride) for size, side in zip((70, 91), x.shape[2:], strict=True)
        )
    config = transformers.AutoConfig.for_model(kind, num_channels=4, out_indices=[1, 2, 3, 4], **options)
    other = transformers.AutoBackbone.from_config(config).eval()
    other.load_state_dict(encoder.body.state_dict())
    assert all(torch.equal(x, y) for x, y in zip(maps, other(images).feature_maps, strict=True))


def test_stochastic_depth():
    assert create_encoder("transformers_swin", drop_path_rate=0.2, options=SWIN).body.config.drop_path_rate == 0.2
    given = SWIN | {"drop_path_rate": 0.1}
    assert create_encoder("transformers_swin", drop_path_rate=0.2, options=given).body.config.drop_path_rate == 0.1


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("transformers_nothing", {}, "transformers has no backbone 'nothing'; it has: .*swin"),
        (
            "transformers_swin",
            {"options": {"depth": 3}},
            "'transformers_swin' has no option depth; it accepts: .*depths",
        ),
        ("transformers_swin", {"weights": "imagenet"}, "weights must be None, got 'imagenet'"),
        ("transformers_swin", {"output_stride": 16}, "has no dilated form"),
        (
            "transformers_dinov2",
            {"options": {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}},
            "strides 4, 8, 16, 32 is needed; Dinov2Backbone makes maps of 4, 4, 4, 4 rows of an image of 64",
        ),
    ],
)
def test_wrong_arguments_are_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        create_encoder(name, **arguments)


def test_stages_are_not_known():
    with pytest.raises(ValueError, match="no prefilters, mixers or frozen stages"):
        create_encoder("transformers_swin", options=SWIN).stages()
