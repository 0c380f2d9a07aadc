# SPDX-License-Identifier: Apache-2.0
"""Prefilters and mixers in the encoder: where they are, what they are built with, and that nothing else changes."""

import json

import pytest
import torch

from dealias.filters import AdaptiveBlur, DeAliasingFilter, Prefilter, create_prefilter, list_prefilters
from dealias.mixing import FreqMix
from dealias.models import create_model, rebuild
from dealias.train.optim import OptimizerSettings, parameter_groups

SLIM = {"channels": (8, 16, 24, 32), "stem_width": 4, "stem_type": "deep", "avg_down": False}
SWIN = {"embed_dim": 24, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8)}
VARIANTS = [(None, None), ("blur", None), ("adaptive_blur", None), ("daf", None), ("daf", "freqmix"), (None, "freqmix")]
IMAGES = torch.randn(2, 3, 65, 97, generator=torch.Generator().manual_seed(0))


def small(prefilter=None, mixer=None, encoder="resnet18", seed=0, **options):
    torch.manual_seed(seed)
    options = {"encoder_options": SLIM if encoder == "resnet18" else None} | options
    return create_model(
        "fpn", encoder, classes=5, decoder_channels=16, prefilter=prefilter, mixer=mixer, **options
    ).eval()


def parts_of(model, kind):
    return {name: module for name, module in model.encoder.body.named_modules() if isinstance(module, kind)}


def test_published_size():
    """Backbone with FreqMix, UPerHead(128) and auxiliary head as published (arXiv 2403.09065)."""
    with torch.device("meta"):
        model = create_model(
            "upernet",
            "resnet50c",
            decoder_channels=128,
            auxiliary=True,
            prefilter="daf",
            mixer="freqmix",
            released=True,
        )
    counts = {part: sum(p.numel() for p in getattr(model, part).parameters()) for part in ("encoder", "decoder")}
    assert counts == {"encoder": 23_910_714, "decoder": 5_264_787}
    assert sum(p.numel() for p in model.auxiliary.parameters()) == 2_364_691


def test_filters_are_at_the_inputs_of_stages_2_to_4():
    filters = parts_of(small("daf"), DeAliasingFilter)
    assert list(filters) == [f"layer{i}.0.prefilter" for i in (2, 3, 4)]
    assert [f.channels for f in filters.values()] == [8, 16, 24]
    expected = [(out / before) ** 0.5 / 4 for before, out in ((8, 16), (16, 24), (24, 32))]
    assert [f.cutoff for f in filters.values()] == pytest.approx(expected)


def test_cutoff_for_doubled_channels():
    with torch.device("meta"):
        model = create_model("fpn", "resnet50c", prefilter="daf")
    assert [f.cutoff for f in parts_of(model, DeAliasingFilter).values()] == pytest.approx([0.35355] * 3, abs=1e-5)


def test_features_are_those_of_stages_run_by_hand():
    plain, filtered = small(), small("blur", prefilter_options={"taps": 5})
    blur = [create_prefilter("blur", c, taps=5) for c in (8, 16, 24)]
    body = plain.encoder.body
    with torch.no_grad():
        x = body.layer1(body.maxpool(body.act1(body.bn1(body.conv1(IMAGES)))))
        expected = [x]
        for prefilter, stage in zip(blur, (body.layer2, body.layer3, body.layer4), strict=True):
            expected.append(stage(prefilter(expected[-1])))
        for found, level in zip(filtered.encoder(IMAGES), expected, strict=True):
            torch.testing.assert_close(found, level)


def test_mixers_follow_conv2_in_every_block_of_stages_2_to_4():
    mixers = parts_of(small(mixer="freqmix", mixer_options={"reduction": 4, "cutoff": 0.3}), FreqMix)
    assert list(mixers) == [f"layer{i}.{block}.conv2.mixer" for i in (2, 3, 4) for block in (0, 1)]
    assert [m.channels for m in mixers.values()] == [16, 16, 24, 24, 32, 32]
    assert {m.cutoff for m in mixers.values()} == {0.3}
    assert mixers["layer2.0.conv2.mixer"].low_gate[0].out_channels == 4


@pytest.mark.parametrize("prefilter", list_prefilters())
def test_released_form(prefilter):
    for module in parts_of(
        small(prefilter, "freqmix", released=True), (DeAliasingFilter, AdaptiveBlur, FreqMix)
    ).values():
        assert module.released
        assert not isinstance(module, DeAliasingFilter) or module.cutoff == 0.35
    options = {"prefilter_options": {"cutoff": 0.25, "released": False}, "mixer_options": {"released": False}}
    model = small("daf", "freqmix", released=True, **options)
    assert not any(module.released for module in parts_of(model, (DeAliasingFilter, FreqMix)).values())
    assert {f.cutoff for f in parts_of(model, DeAliasingFilter).values()} == {0.25}


@pytest.mark.parametrize("encoder", ["resnet18", "test_convnext", "swin_tiny_patch4_window7_224", "mobilenetv2_100"])
def test_encoders(encoder):
    options = {"encoder_options": SWIN} if encoder.startswith("swin") else {}
    plain, filtered = (small(prefilter, encoder=encoder, **options) for prefilter in (None, "daf"))
    assert len(parts_of(filtered, DeAliasingFilter)) == 3
    assert list(filtered.state_dict()) == list(plain.state_dict())
    with torch.no_grad():
        before, after = plain(IMAGES), filtered(IMAGES)
    assert before.shape == after.shape and not torch.equal(before, after)


def test_nothing_is_put_in_without_a_name():
    for prefilter, mixer in ((None, None), ("none", "none")):
        model = small(prefilter, mixer)
        assert not parts_of(model, (Prefilter, FreqMix))


def test_seed_gives_the_same_other_weights():
    states = [small(*variant).state_dict() for variant in VARIANTS]
    for state in states[1:]:
        assert all(torch.equal(state[key], value) for key, value in states[0].items())
    fusions = [small("daf", "freqmix", fusion=fusion).state_dict() for fusion in ("bilinear", "carafe")]
    assert all(torch.equal(fusions[1][key], value) for key, value in fusions[0].items())
    mixers = [
        {k: v for k, v in small(prefilter, "freqmix").state_dict().items() if "mixer" in k}
        for prefilter in (None, "adaptive_blur")
    ]
    assert mixers[0] and all(torch.equal(mixers[1][key], value) for key, value in mixers[0].items())
    key = "encoder.body.layer2.0.conv2.mixer.low_gate.0.weight"
    assert not torch.equal(small(None, "freqmix", seed=1).state_dict()[key], mixers[0][key])


def test_making_leaves_the_random_numbers_where_they_were():
    following = []
    for variant in VARIANTS:
        small(*variant)
        following.append(torch.rand(1).item())
    assert len(set(following)) == 1


def test_configuration_rebuilds_the_network(tmp_path):
    model = small("daf", "freqmix", prefilter_options={"cutoff": 0.3}, mixer_options={"reduction": 8}, released=True)
    other = rebuild(json.loads(json.dumps(model.config)))
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(other.eval()(IMAGES), model(IMAGES))
    assert other.config == model.config


def test_configurations_from_before_prefilters_rebuild():
    model = small()
    later = ("prefilter", "mixer", "prefilter_options", "mixer_options", "released")
    config = {key: value for key, value in model.config.items() if key not in later}
    rebuild(config).load_state_dict(model.state_dict())


def test_parts_and_learning_rates():
    model = small("adaptive_blur", "freqmix", encoder_options=SLIM)
    parts = model.parameter_parts()
    counts = {name: sum(p.numel() for p in parameters) for name, parameters in parts.items()}
    assert counts["mixer"] == sum(p.numel() for m in parts_of(model, FreqMix).values() for p in m.parameters()) > 0
    assert counts["prefilter"] == sum(p.numel() for m in parts_of(model, AdaptiveBlur).values() for p in m.parameters())
    assert sum(counts.values()) == sum(p.numel() for p in model.parameters())
    plain = sum(p.numel() for p in small().encoder.parameters())
    assert counts["encoder"] == plain
    settings = OptimizerSettings("sgd", lr=0.01, factors={"mixer": 2.0, "decoder": 2.0})
    rates = {group["name"]: group["lr"] for group in parameter_groups(parts, settings)}
    assert rates["mixer"] == rates["decoder"] == 0.02 and rates["encoder"] == rates["prefilter"] == 0.01


def test_training_step_in_bfloat16_reaches_every_parameter():
    model = small("adaptive_blur", "freqmix").train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(IMAGES).square().mean()
    loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


@pytest.mark.parametrize(("prefilter", "mixer"), [("daf", "freqmix"), ("blur", None)])
def test_compiles_and_exports_for_any_image_size(prefilter, mixer):
    model = small(prefilter, mixer)
    torch.compiler.reset()
    with torch.no_grad():
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(IMAGES), model(IMAGES), rtol=1e-4, atol=1e-5)
    batch, height, width = (torch.export.Dim(name, min=low, max=4096) for name, low in (("b", 1), ("h", 33), ("w", 33)))
    program = torch.export.export(model, (IMAGES,), dynamic_shapes=({0: batch, 2: height, 3: width},))
    for shape in ((1, 3, 33, 47), (3, 3, 64, 128)):
        images = torch.randn(shape)
        torch.testing.assert_close(program.module()(images), model(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prefilter": "box"}, "unknown prefilter 'box'; known: none, blur"),
        ({"mixer": "box"}, "unknown mixer 'box'; known: none, freqmix"),
        ({"prefilter": "daf", "prefilter_options": {"taps": 3}}, "prefilter 'daf' has no option taps"),
        ({"mixer": "freqmix", "mixer_options": {"taps": 3}}, "mixer 'freqmix' has no option taps"),
        ({"prefilter_options": {"cutoff": 0.3}}, "prefilter_options .*cutoff.* need a prefilter"),
        ({"mixer": "none", "mixer_options": {"cutoff": 0.3}}, "mixer_options .*cutoff.* need a mixer"),
        ({"prefilter": "daf", "encoder": "densenet121"}, "stages of this backbone are not known"),
        ({"mixer": "freqmix", "encoder": "mobilenetv2_100"}, "no place for a mixer"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
