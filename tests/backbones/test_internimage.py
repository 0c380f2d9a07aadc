# SPDX-License-Identifier: Apache-2.0
"""InternImage: its blocks as sums of their parts, and as an encoder."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dealias.backbones import STRIDES, InternImage, create_encoder
from dealias.testing import assert_close
from dealias.testing.modules import check_compile, check_export

SMALL = {"channels": (8, 12, 16, 20), "depths": (1, 1, 3, 1), "groups": (2, 3, 2, 5), "mlp_ratio": 2.0}
VARIANTS = {
    "before": {},
    "after": {"norm_position": "after"},
    "both": {"norm_position": "both", "layer_scale": None, "center_scale": True, "guide_kernel": 5},
    "norms": {"norms_after": (0, 2), "norm": "batch", "activation": "silu", "offset_scale": 2.0},
    "ring": {"norm_position": "after", "level_norm": True, "remove_center": True},
}
with_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


def small(variant=None, **arguments):
    torch.manual_seed(0)
    return create_encoder("internimage_t", options=SMALL | (variant or {}), **arguments)


def perturbed(encoder):
    """With offsets, unequal weights and gains, which a new network does not have."""
    for name, parameter in encoder.named_parameters():
        if any(part in name for part in ("to_offsets", "to_weights", "to_shares", "scale")):
            nn.init.normal_(parameter, std=0.3)
    return encoder


def norm(layer, x):
    return F.layer_norm(x, x.shape[-1:], layer.weight, layer.bias, eps=1e-6)


@pytest.mark.parametrize("position", ["before", "after", "both"])
@pytest.mark.parametrize("layer_scale", [0.5, None])
def test_block(position, layer_scale):
    block = small({"norm_position": position, "layer_scale": layer_scale}).eval().levels[0].blocks[0]
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, 5, 6, 8)
    gains = [1.0 if layer_scale is None else scale.gamma for scale in (block.scale1, block.scale2)]
    expected = x
    for branch, before, after, gain in (
        (block.dcn, block.before1, block.after1, gains[0]),
        (lambda y: block.mlp.fc2(F.gelu(block.mlp.fc1(y))), block.before2, block.after2, gains[1]),
    ):
        y = branch(norm(before, expected) if position != "after" else expected)
        expected = expected + gain * (norm(after, y) if position != "before" else y)
    with torch.no_grad():
        assert_close(block(x), expected)


def test_levels_feed_each_other_and_end_with_a_norm_where_blocks_do_not():
    for position, normalised in (("before", True), ("after", False), ("both", True)):
        encoder = perturbed(small({"norm_position": position})).eval()
        with torch.no_grad():
            maps = encoder(torch.randn(2, 3, 64, 96))
            for x, y, level in zip(maps, maps[1:], encoder.levels[1:], strict=False):
                assert_close(level(x), y)
        means = max(x.mean(1).abs().max().item() for x in maps)
        assert (means < 1e-5) == normalised


def test_norms_after_blocks_of_the_third_level():
    encoder = perturbed(small({"norms_after": (0, 2)})).eval()
    level = encoder.levels[2]
    x = torch.randn(1, 12, 9, 8)
    with torch.no_grad():
        y = norm(level.norms[0], level.blocks[0](level.embed(x).permute(0, 2, 3, 1)))
        y = norm(level.norms[2], level.blocks[2](level.blocks[1](y)))
        assert_close(level(x), norm(level.norm, y).permute(0, 3, 1, 2))
    assert not any(isinstance(n, nn.LayerNorm) for other in (0, 1, 3) for n in encoder.levels[other].norms)


def test_published_size():
    """Table 1 of the paper: 50 million with the classifier, of 1.57 million, which is left out here."""
    with torch.device("meta"):
        encoder = create_encoder("internimage_s")
    assert round(sum(p.numel() for p in encoder.parameters()) / 1e6, 1) == 48.5


@with_variant
@pytest.mark.parametrize("size", [(33, 47), (1, 5)])
def test_maps_have_the_size_rounded_up(variant, size):
    encoder = small(variant).eval()
    for x, channels, stride in zip(encoder(torch.randn(1, 3, *size)), SMALL["channels"], STRIDES, strict=True):
        assert x.shape == (1, channels, *(-(-side // stride) for side in size)) and x.isfinite().all()


@with_variant
def test_a_single_image_trains(variant):
    encoder = perturbed(small(variant)).train()
    sum(x.square().sum() for x in encoder(torch.randn(1, 3, 64, 64))).backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    assert all(p.grad.any() for n, p in encoder.named_parameters() if "dcn" in n and "enter.bias" not in n)


def test_initial_weights():
    encoder = small({"center_scale": True, "layer_scale": 0.1})
    block = encoder.levels[3].blocks[0]
    assert block.mlp.fc1.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not any(
        p.any() for part in ("offsets", "weights", "shares") for p in getattr(block.dcn, f"to_{part}").parameters()
    )
    limit = (6 / (20 + 20)) ** 0.5
    assert limit * 0.95 < block.dcn.enter.weight.abs().max() <= limit
    assert block.scale1.gamma.unique().tolist() == pytest.approx([0.1])


def test_drop_path_rises_to_its_rate_and_works_in_training_only():
    encoder = small(drop_path_rate=0.6)
    rates = [block.drop_path.drop_prob for level in encoder.levels for block in level.blocks]
    assert rates == pytest.approx([0, 0.12, 0.24, 0.36, 0.48, 0.6])
    images = torch.randn(2, 3, 32, 32)
    assert not torch.equal(encoder(images)[-1], encoder(images)[-1])
    encoder.eval()
    assert torch.equal(encoder(images)[-1], encoder(images)[-1])


def test_half_precision_and_autocast():
    encoder, images = perturbed(small()).eval(), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = encoder(images)[-1]
        with torch.autocast("cpu", torch.bfloat16):
            automatic = encoder(images)[-1]
        halved = encoder.to(torch.bfloat16)(images.bfloat16())[-1]
    assert halved.dtype == torch.bfloat16
    for found in (automatic, halved):
        assert (found.float() - expected).abs().max() < 0.1 * expected.abs().max()


@pytest.mark.parametrize("variant", [VARIANTS["before"], VARIANTS["both"]], ids=["before", "both"])
def test_levels_compile_and_export_for_any_size(variant):
    level = perturbed(small(variant)).eval().levels[1]
    sizes = [[torch.randn(2, 8, *size)] for size in ((9, 7), (4, 6), (11, 3))]
    check_compile(level, sizes)
    check_export(level, ["x"], sizes)


def test_stages_take_prefilters_and_mixers():
    encoder = perturbed(small()).eval()
    images, keys = torch.randn(1, 3, 64, 96), list(encoder.state_dict())
    before, seen, mixed = encoder(images), [], []

    class Recorder(nn.Module):
        def __init__(self, maps):
            super().__init__()
            self.maps = maps

        def forward(self, x):
            self.maps.append(x)
            return x

    for stage, inputs, outputs in zip(encoder.stages(), encoder.channels, encoder.channels[1:], strict=False):
        assert (stage.in_channels, stage.out_channels, stage.kernel, stage.stride) == (inputs, outputs, 3, 2)
        stage.insert_prefilter(Recorder(seen))
        stage.insert_mixers(lambda channels, outputs=outputs: Recorder(mixed) if channels == outputs else None)
    after = encoder(images)
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(seen, before[:-1], strict=True))
    levels = [before[level].shape for level in (1, 2, 2, 2, 3)]
    assert [x.shape for x in mixed] == levels
    assert list(encoder.state_dict()) == keys


def test_mixers_work_on_what_was_sampled():
    encoder = perturbed(small()).eval()
    dcn, x = encoder.levels[1].blocks[0].dcn, torch.randn(1, 5, 6, 12)
    plain = dcn(x)
    encoder.stages()[0].insert_mixers(lambda channels: nn.Threshold(float("inf"), 0.0))
    assert_close(dcn(x), dcn.leave.bias.expand_as(plain))


def test_weights_from_a_file(tmp_path):
    source = perturbed(small()).eval()
    torch.save({"state_dict": source.state_dict(), "epoch": 3}, tmp_path / "intern.pth")
    images = torch.randn(1, 3, 64, 64)
    loaded = small(weights=str(tmp_path / "intern.pth")).eval()
    assert torch.equal(loaded(images)[-1], source(images)[-1])
    gray = small(weights=str(tmp_path / "intern.pth"), in_channels=1)
    assert gray.in_channels == 1
    torch.testing.assert_close(gray.levels[0].embed[0].weight, source.levels[0].embed[0].weight.sum(1, keepdim=True))
    with pytest.raises(
        ValueError, match=r"intern\.pth does not fit 'internimage_t': missing levels\.2\.norms\.1\.weight"
    ):
        small({"norms_after": (1,)}, weights=str(tmp_path / "intern.pth"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "internimage_x"}, "unknown InternImage 'internimage_x'; known: internimage_t, internimage_s"),
        ({"options": {"depth": 3}}, "'internimage_t' has no option depth; it accepts: channels, depths, groups, mlp"),
        ({"options": {"depths": (1, 1)}}, r"needs 4 levels, got .*\(1, 1\)"),
        ({"options": SMALL | {"norm_position": "post"}}, "unknown norm_position 'post'; known: before, after, both"),
        ({"options": SMALL | {"norms_after": (3,)}}, r"norms_after must be different blocks of 0\.\.2, got \(3,\)"),
        ({"options": SMALL | {"activation": "GELU"}}, "unknown activation 'GELU'"),
        ({"drop_path_rate": 1.0}, r"drop_path_rate must be in \[0, 1\), got 1.0"),
        ({"weights": "imagenet", "options": SMALL}, "no weights to download for 'internimage_t'"),
        ({"weights": "absent.pth", "options": SMALL}, "an existing file .*absent.pth"),
        ({"output_stride": 8}, "'internimage_t' has no dilated form: its output_stride is 32, got 8"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_encoder(**{"name": "internimage_t", **arguments})


def test_is_an_encoder_of_its_own():
    assert isinstance(small(), InternImage)
