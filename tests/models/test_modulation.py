# SPDX-License-Identifier: Apache-2.0
"""Networks with modulation: where it is, how it is undone, that it starts as the identity, what else stays the same."""

import copy
import itertools
import json
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dealias.backbones import recording
from dealias.losses import SemanticHighFrequencyLoss
from dealias.models import create_model, list_models, rebuild
from dealias.models.architectures import ONE_LEVEL
from dealias.models.demodulation import LevelDemodulation
from dealias.modulation import ARS, MSAU
from dealias.ops.warp import demodulate

SLIM = {"channels": (8, 16, 24, 32), "stem_width": 4, "stem_type": "deep", "avg_down": False}
ENCODERS = {
    "resnet18": SLIM,
    "test_convnext": {},
    "swin_tiny_patch4_window7_224": {"embed_dim": 24, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8)},
    "mscan_t": {"channels": (8, 16, 24, 32), "depths": (1, 1, 1, 1)},
}
IMAGES = torch.randn(2, 3, 65, 97, generator=torch.Generator().manual_seed(0))
SIZE = (65, 97)
BOTH = pytest.mark.parametrize("arch", ["fpn", "pspnet"])


def small(arch="fpn", modulation="ars", encoder="resnet18", seed=0, **options):
    torch.manual_seed(seed)
    options = {"encoder_options": ENCODERS.get(encoder), "decoder_channels": 16, "classes": 5} | options
    return create_model(arch, encoder, modulation=modulation, **options).eval()


def awake(arch="fpn", **options):
    """A network whose modulations bend their maps, as if they were trained."""
    model = small(arch, **options)
    for module in model.modules():
        if isinstance(module, ARS):
            nn.init.normal_(module.attention.fuse.weight, std=2.0)
    return model


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("arch", ["fpn", "upernet", "fcn", "pspnet"])
@pytest.mark.parametrize("encoder", ENCODERS)
@torch.no_grad()
def test_weights_of_a_plain_network_predict_alike(arch, encoder):
    plain, modulated = small(arch, None, encoder), small(arch, "ars", encoder, seed=1)
    missing, unexpected = modulated.load_state_dict(plain.state_dict(), strict=False)
    assert unexpected == [] and all(".modulation." in key or key.startswith("msau.") for key in missing)
    assert relative(modulated(IMAGES), plain(IMAGES)) < (0.05 if arch in ONE_LEVEL else 1e-4)


@torch.no_grad()
def test_modulations_bend_the_maps():
    assert relative(awake()(IMAGES), small()(IMAGES)) > 0.05


@pytest.mark.parametrize(("output_stride", "stages"), [(32, (2, 3, 4)), (16, (2, 3)), (8, (2,))])
def test_modulations_are_at_the_inputs_of_stages_that_stride(output_stride, stages):
    model = small("pspnet", output_stride=output_stride)
    found = [name for name, module in model.encoder.body.named_modules() if isinstance(module, ARS)]
    assert found == [f"layer{stage}.0.modulation" for stage in stages]
    assert len(model.forward_train(IMAGES).warps) == len(stages)


@torch.no_grad()
def test_levels_are_those_of_stages_run_by_hand():
    model = awake()
    body = model.encoder.body
    x = body.layer1(body.maxpool(body.act1(body.bn1(body.conv1(IMAGES)))))
    expected, warps = [x], []
    for stage in (body.layer2, body.layer3, body.layer4):
        modulated = stage[0].modulation(expected[-1])
        warps.append(modulated.warp)
        first = copy.copy(stage[0])
        first._forward_pre_hooks = {}
        expected.append(stage[1](first(modulated.features)))
    with recording() as tape:
        levels = model.encoder(IMAGES)
    for found, level in zip(levels, expected, strict=True):
        torch.testing.assert_close(found, level)
    for found, warp in zip(tape, warps, strict=True):
        assert torch.equal(found.warp.map, warp.map)
    regular = [demodulate(x, warps[:i], tuple(x.shape[-2:])) if i else x for i, x in enumerate(expected)]
    scores = model.decoder(regular)
    torch.testing.assert_close(model(IMAGES), F.interpolate(scores, SIZE, mode="bilinear", align_corners=False))
    found = model.forward_train(IMAGES)
    torch.testing.assert_close(found.logits, model(IMAGES))
    assert [a.shape for a in found.attentions] == [(2, 1, 17, 25), (2, 1, 9, 13), (2, 1, 5, 7)]
    assert all(torch.equal(a.map, b.map) for a, b in zip(found.warps, warps, strict=True))


@pytest.mark.parametrize("output_stride", [32, 16])
@torch.no_grad()
def test_one_level_runs_on_the_warped_grid(output_stride):
    model = awake("fcn", auxiliary=True, auxiliary_channels=8, output_stride=output_stride)
    assert model.demodulation is None and isinstance(model.msau, MSAU)
    with recording() as tape:
        levels = model.encoder(IMAGES)
    warps = [resampling.warp for resampling in tape]
    finest = demodulate(model.decoder(levels), warps, (17, 25))
    expected = F.interpolate(finest, SIZE, mode="bilinear", align_corners=False)
    found = model.forward_train(IMAGES)
    torch.testing.assert_close(found.logits, expected)
    torch.testing.assert_close(found.auxiliary, demodulate(model.auxiliary(levels), warps[:2], SIZE))
    nn.init.ones_(model.msau.gates)
    embedding = model.decoder.embed(levels)
    related = model.msau(embedding, warps, (17, 25), values=model.decoder.classifier(embedding))
    expected = F.interpolate(related, SIZE, mode="bilinear", align_corners=False)
    torch.testing.assert_close(model(IMAGES), expected)
    assert relative(expected, found.logits) > 1e-3


@pytest.mark.parametrize("arch", [arch for arch in list_models("segmentation") if arch not in ONE_LEVEL])
@torch.no_grad()
def test_decoders_of_several_levels(arch):
    """They see regular grids; the relation of MSAU is theirs if it is asked for, and starts as the identity."""
    plain, related = awake(arch), awake(arch, modulation_options={"msau": {"dilations": [1, 4]}})
    assert isinstance(plain.demodulation, LevelDemodulation) and plain.msau is None
    assert related.msau.dilations == (1, 4)
    related.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(related(IMAGES), plain(IMAGES))
    nn.init.ones_(related.msau.gates)
    assert relative(related(IMAGES), plain(IMAGES)) > 1e-3


def test_options_reach_their_part():
    options = {"sigma": 4.0, "window": 21, "learn_sigma": True, "msau": {"gated": False}}
    model = small("fcn", modulation_options=options)
    assert {(ars.window, round(float(ars.sigma.detach()), 3)) for ars in model.modules() if isinstance(ars, ARS)} == {
        (21, 4.0)
    }
    assert model.msau.gates is None
    other = rebuild(json.loads(json.dumps(model.config)))
    other.load_state_dict(model.state_dict())
    assert other.config == model.config


def test_seed_gives_the_same_other_weights():
    following, states = [], []
    for modulation, fusion in ((None, "bilinear"), ("ars", "bilinear"), ("ars", "carafe")):
        states.append(small(modulation=modulation, fusion=fusion).state_dict())
        if fusion == "bilinear":
            following.append(torch.rand(1).item())
    for fewer, more in itertools.pairwise(states):
        assert all(torch.equal(more[key], value) for key, value in fewer.items())
    assert following[0] == following[1]


@BOTH
def test_parts_split_the_parameters(arch):
    model = small(arch, prefilter="adaptive_blur", mixer="freqmix")
    parts = model.parameter_parts()
    assert sum(map(len, parts.values())) == len(list(model.parameters())) == len({p for o in parts.values() for p in o})
    inserted = [module for module in model.modules() if isinstance(module, (ARS, MSAU))]
    assert len(inserted) == (4 if arch == "pspnet" else 3)
    assert set(parts["modulation"]) == {p for module in inserted for p in module.parameters()}


@BOTH
def test_training_step_in_bfloat16_reaches_every_parameter(arch):
    """All of them in every step, as distributed training without a search for unused ones needs it."""
    model = awake(arch, mixer="freqmix", prefilter="daf", modulation_options={"learn_sigma": True}).train()
    target = torch.randint(5, (2, *SIZE))
    with torch.autocast("cpu", torch.bfloat16):
        found = model.forward_train(IMAGES)
        loss = F.cross_entropy(found.logits, target)
        loss = loss + SemanticHighFrequencyLoss()(found.attentions, target, found.warps)
    loss.backward()
    assert loss.isfinite()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


@BOTH
@torch.no_grad()
def test_copies_keep_no_tensors_and_predict_the_same(arch):
    model = awake(arch)
    expected = model(IMAGES)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(IMAGES), expected)
    for module in model.modules():
        assert not any(isinstance(value, (torch.Tensor, list)) and len(value) for value in vars(module).values())


@torch.no_grad()
def test_images_do_not_depend_on_their_batch():
    model = awake("pspnet")
    torch.testing.assert_close(model(IMAGES)[1:], model(IMAGES[1:]), rtol=1e-3, atol=1e-4)


@BOTH
def test_compiles_as_one_graph(arch):
    torch.compiler.reset()
    model = awake(arch, encoder="resnet18")
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    found, expected = compiled(IMAGES[..., :32, :40]), model(IMAGES[..., :32, :40])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@BOTH
@torch.no_grad()
def test_exports(arch):
    model = awake(arch)
    program = torch.export.export(model, (torch.randn(IMAGES.shape),), strict=False)
    torch.testing.assert_close(program.module()(IMAGES), model(IMAGES), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modulation": "sar"}, "unknown modulation 'sar'; known: none, ars"),
        ({"modulation_options": {"sigm": 3}}, "'ars' has no option sigm; it accepts: sigma"),
        ({"modulation_options": {"msau": {"dilation": 3}}}, "msau has no option dilation; it accepts: dilations"),
        ({"modulation": None, "modulation_options": {"msau": {}}}, "modulation_options .* need a modulation"),
        ({"modulation": "none", "modulation_options": {"sigma": 3}}, "modulation_options .* need a modulation"),
        ({"encoder": "hrnet_w18_small", "encoder_options": {}}, "stages of this backbone are not known"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
