# SPDX-License-Identifier: Apache-2.0
"""Mask2Former's numbers: transformers' own with bilinear fusion in the last place, and where the others are."""

import json

import pytest
import torch
import torch.nn.functional as F

from dealias.fusion import Bilinear, FreqFusion, Fusion
from dealias.models import create_detector, mask2former_from_pretrained

transformers = pytest.importorskip("transformers")

SWIN = {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4}
LABELS = 5


@pytest.fixture(scope="module")
def original():
    torch.manual_seed(0)
    config = transformers.Mask2FormerConfig(
        backbone_config=transformers.SwinConfig(**SWIN, out_features=["stage1", "stage2", "stage3", "stage4"]),
        feature_size=32,
        mask_feature_size=64,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        dim_feedforward=32,
        encoder_layers=1,
        decoder_layers=3,
        num_attention_heads=4,
        num_queries=6,
        train_num_points=50,
        no_object_weight=0.2,
        mask_weight=3.0,
        num_labels=LABELS,
    )
    return transformers.Mask2FormerForUniversalSegmentation(config).eval()


@pytest.fixture(scope="module")
def folder(original, tmp_path_factory):
    path = tmp_path_factory.mktemp("mask2former")
    original.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def loaded(folder):
    return mask2former_from_pretrained(folder)


@pytest.mark.parametrize("size", [(64, 96), (61, 93), (97, 70), (33, 129)])
@torch.no_grad()
def test_bilinear_is_transformers_bit_for_bit(original, loaded, size):
    assert loaded.new_parts == []
    images = torch.randn(2, 3, *size)
    expected, found = original(pixel_values=images, output_auxiliary_logits=True), loaded.model.eval().network(images)
    assert torch.equal(found.masks[-1], expected.masks_queries_logits)
    assert torch.equal(found.classes[-1], expected.class_queries_logits)
    for layer, earlier in enumerate(expected.auxiliary_logits):
        assert torch.equal(found.masks[layer], earlier["masks_queries_logits"])
        assert torch.equal(found.classes[layer], earlier["class_queries_logits"])


@torch.no_grad()
def test_losses_are_transformers(original, loaded):
    images = torch.randn(2, 3, 64, 96)
    masks = [(torch.rand(count, 64, 96) > 0.5).float() for count in (3, 0)]
    labels = [torch.tensor([0, 4, 2]), torch.zeros(0, dtype=torch.long)]
    torch.manual_seed(1)
    expected = original(pixel_values=images, mask_labels=masks, class_labels=labels).loss
    network = loaded.model.eval().network
    torch.manual_seed(1)
    losses = network.losses(network(images), masks, labels)
    torch.testing.assert_close(sum(losses.values()), expected)


@torch.no_grad()
def test_things_come_first_in_the_order_asked_for(folder, original):
    found = mask2former_from_pretrained(folder, things=[4, 1], min_size=64, max_size=96)
    assert (found.model.classes, found.model.stuff_classes) == (2, 3)
    images = torch.randn(1, 3, 64, 64)
    expected = original(pixel_values=images).class_queries_logits[..., [4, 1, 0, 2, 3, LABELS]]
    torch.testing.assert_close(found.model.eval().network(images).classes[-1], expected)
    with pytest.raises(ValueError, match=r"things must be different labels from 0 to 4, got \[1, 5\]"):
        mask2former_from_pretrained(folder, things=[1, 5])


def test_new_parts_are_listed(folder, original):
    model, new = mask2former_from_pretrained(folder, "freqfusion", classes=2, stuff_classes=1)
    assert {name.partition(".fusion")[0] for name in new} == {
        "network.pixel_decoder",
        "network.pixel_decoder.encoder",
        "network.class_predictor.weight",
        "network.class_predictor.bias",
    }
    fusions = {id(p) for m in model.modules() if isinstance(m, Fusion) for p in m.parameters()}
    own = dict(model.named_parameters())
    assert {name for name, p in own.items() if id(p) in fusions} == {name for name in new if ".fusion" in name}
    theirs = original.state_dict()
    name = "transformer_module.queries_features.weight"
    assert torch.equal(own[f"network.{name}"], theirs[f"model.{name}"])
    losses = model.train()([torch.rand(3, 64, 64)], [empty_target(64)])
    assert losses["loss_cross_entropy"] > 0


def test_config_rebuilds_the_network_without_the_folder(loaded):
    again = create_detector(**json.loads(json.dumps(loaded.model.config)))
    assert again.config == loaded.model.config
    again.load_state_dict(loaded.model.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        found, expected = (m.eval().network(images).masks[-1] for m in (again, loaded.model))
    assert torch.equal(found, expected)


def test_no_such_folder(tmp_path):
    with pytest.raises(OSError, match=tmp_path.name):
        mask2former_from_pretrained(tmp_path)


def empty_target(side):
    nothing = torch.zeros(0, side, side, dtype=torch.uint8)
    semantic = torch.full((side, side), 3)
    return {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "masks": nothing, "semantic": semantic}


def pixel_decoder(fusion, **options):
    torch.manual_seed(0)
    small = {"decoder_channels": 32, "heads": 4, "encoder_layers": 1, "decoder_layers": 1, "queries": 3}
    return create_detector("mask2former", "test_resnet", classes=2, fusion=fusion, **small, **options).eval().network


class Detailed(Bilinear):
    """A fusion that changes both maps, so that their roles show."""

    def fuse(self, hr, lr):
        hr, lr = super().fuse(hr, lr)
        return 3 * hr, 2 * lr


@torch.no_grad()
def test_levels_are_fused_deep_to_shallow_before_the_attention_and_once_after_it():
    network = pixel_decoder(Detailed, pre_fusion=True)
    decoder, seen = network.pixel_decoder, []
    decoder.encoder.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    decoder.mask_projection.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    features = network.encoder(torch.randn(1, 3, 75, 107))
    decoded = decoder(features)

    def up(coarse, fine):
        return F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)

    res5, res4, res3 = (project(x) for project, x in zip(decoder.input_projections, features[:0:-1], strict=True))
    res4 = 3 * res4 + 2 * up(res5, res4)
    res3 = 3 * res3 + 2 * up(res4, res3)
    torch.testing.assert_close(seen[0], torch.cat([x.flatten(2) for x in (res5, res4, res3)], 2).transpose(1, 2))
    lateral = decoder.adapter_1(features[0])
    finest = decoder.layer_1(3 * lateral + 2 * up(decoded.multi_scale_features[-1], lateral))
    torch.testing.assert_close(seen[-1], finest)
    torch.testing.assert_close(decoded.mask_features, decoder.mask_projection(finest))


def test_bilinear_alone_has_no_fusion_before_the_attention():
    counts = {
        (fusion, pre): len(pixel_decoder(fusion, pre_fusion=pre).pixel_decoder.encoder.fusions)
        for fusion in ("bilinear", "carafe")
        for pre in (None, True, False)
    }
    assert counts == {
        ("bilinear", None): 0,
        ("bilinear", True): 2,
        ("bilinear", False): 0,
        ("carafe", None): 2,
        ("carafe", True): 2,
        ("carafe", False): 0,
    }


def test_starts_as_published():
    """Uniform, of variance 1 / inputs in convolutions and 2 / (inputs + outputs) in projections and feed-forwards."""
    network = pixel_decoder("freqfusion", feedforward=96)
    decoder = network.pixel_decoder
    bounds = {
        decoder.mask_projection: (3 / 32) ** 0.5,
        decoder.adapter_1[0]: (3 / 32) ** 0.5,
        decoder.layer_1[0]: (3 / (9 * 32)) ** 0.5,
        decoder.input_projections[0][0]: (6 / (96 + 32)) ** 0.5,
        decoder.encoder.layers[0].fc1: (6 / (96 + 32)) ** 0.5,
        decoder.encoder.layers[0].fc2: (6 / (96 + 32)) ** 0.5,
        network.class_predictor: (1 / 32) ** 0.5,
    }
    for module, bound in bounds.items():
        assert 0.9 * bound < module.weight.abs().max() <= bound
    assert decoder.mask_projection.bias.abs().max() == 0


def test_published_size():
    """44.0 M with ResNet-50 on COCO: table 2 of arXiv 2112.01527."""
    with torch.device("meta"):
        network = create_detector("mask2former", "resnet50", classes=80, stuff_classes=53)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 44.0


def test_freqfusion_is_as_published():
    with torch.device("meta"):
        network = create_detector("mask2former", "resnet18", fusion="freqfusion").network
    fusions = [m for m in network.modules() if isinstance(m, FreqFusion)]
    assert len(fusions) == 3
    for fusion in fusions:
        assert fusion.compress_hr.out_channels == fusion.compress_lr.out_channels == 64
        assert fusion.lowpass_window is None and fusion.highpass_window is None
        assert not any(isinstance(m, torch.nn.GroupNorm) for m in fusion.modules())
        assert fusion.sampler is not None
    other = pixel_decoder("freqfusion", fusion_options={"hamming_window": True, "compressed_channels": 8})
    assert other.pixel_decoder.fusion.lowpass_window is not None
    assert other.pixel_decoder.fusion.compress_hr.out_channels == 8
