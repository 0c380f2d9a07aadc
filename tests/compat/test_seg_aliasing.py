# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in the published layout: what is read from them, and what is refused."""

import pytest
import torch

from dealias.compat import load_published, seg_aliasing
from dealias.filters import AdaptiveBlur, Blur, DeAliasingFilter
from dealias.models import create_model

IMAGES = torch.randn(1, 3, 65, 97, generator=torch.Generator().manual_seed(0))


def checkpoint(prefilter="daf", mixer="freqmix", **options):
    """A small network of random weights, and its weights by their published names."""
    torch.manual_seed(0)
    options = {"prefilter_options": None, "auxiliary": True, "auxiliary_channels": 6, "classes": 5} | options
    network = create_model(
        "upernet",
        "resnet18",
        in_channels=3,
        decoder_channels=8,
        prefilter=prefilter,
        mixer=mixer,
        released=True,
        encoder_options={"stem_type": "deep", "stem_width": 32},
        **options,
    ).eval()
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    return network, seg_aliasing.to_published(network)


@pytest.fixture(scope="module")
def published():
    return checkpoint()[1]


@pytest.mark.parametrize(
    ("prefilter", "mixer", "told", "options"),
    [
        ("daf", "freqmix", {}, {}),
        (
            "daf",
            None,
            {"prefilter_options": {"cutoff": 0.2}},
            {"prefilter_options": {"cutoff": 0.2}, "auxiliary": False},
        ),
        ("blur", "freqmix", {}, {"prefilter_options": {"taps": 5}}),
        ("adaptive_blur", "freqmix", {"prefilter": "adaptive_blur"}, {"prefilter_options": {"groups": 4}}),
        ("none", "freqmix", {"prefilter": "none"}, {"classes": 3}),
    ],
)
def test_checkpoint_rebuilds_the_network(prefilter, mixer, told, options):
    network, weights = checkpoint(prefilter, mixer, **options)
    other = load_published(weights, **told)
    assert not other.training
    with torch.no_grad():
        outputs = (model.forward_train(IMAGES)[:2] for model in (other, network))
        for found, expected in zip(*outputs, strict=True):
            assert (found is None) == (expected is None)
            assert found is None or torch.equal(found, expected)


def test_published_names_of_everything(published):
    heads = {key.split(".")[0] for key in published}
    assert heads == {"backbone", "decode_head", "auxiliary_head"}
    assert "backbone.layer4.1.att.channel_att_high.3.bias" in published
    assert "backbone.AdaD.3.filt" in checkpoint("blur")[1]
    assert {"backbone.AdaD.1.conv.weight", "backbone.AdaD.1.bn.running_var"} <= set(checkpoint("adaptive_blur")[1])


def test_training_states_and_prefixes(published):
    expected = load_published(published).state_dict()
    wrapped = {"meta": {"epoch": 3}, "state_dict": {f"module.{key}": value for key, value in published.items()}}
    older = {key: value for key, value in published.items() if not key.endswith("num_batches_tracked")}
    for weights in (wrapped, older):
        found = load_published(weights, layout="seg-aliasing").state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in found.items())


@pytest.mark.parametrize(
    ("prefilter", "kind"), [("daf", DeAliasingFilter), ("blur", Blur), ("adaptive_blur", AdaptiveBlur)]
)
def test_released_or_corrected(prefilter, kind):
    weights = checkpoint(prefilter)[1]
    for released in (True, False):
        network = load_published(weights, released=released)
        assert network.config["released"] == released
        filters = [module for module in network.modules() if isinstance(module, kind)]
        assert len(filters) == 3
        if kind is not Blur:
            assert {module.released for module in filters} == {released}
        assert network.encoder.body.layer2[0].conv2.mixer.released == released


def changed(published, change):
    weights = dict(published)
    change(weights)
    return weights


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("decode_head.bottleneck.conv.weight"), r"missing decode_head\.bottleneck\.conv\.weight$"),
        (lambda w: w.update({"backbone.fc.bias": torch.ones(2)}), r"unexpected backbone\.fc\.bias$"),
        (
            lambda w: w.update({"backbone.layer2.0.att.freq_weight_conv.bias": torch.ones(3)}),
            r"backbone\.layer2\.0\.att\.freq_weight_conv\.bias is \(3,\) instead of \(2,\)",
        ),
        (lambda w: w.pop("backbone.stem.0.weight"), r"no checkpoint of this layout: backbone\.stem\.0\.weight"),
        (
            lambda w: [w.pop(key) for key in list(w) if key.startswith("backbone.layer3.1.")],
            r"stages of 2-2-2-2 \(resnet18\), .* blocks, found 2-2-1-2",
        ),
        (lambda w: w.update({"epoch": 3}), "must hold tensors by key, found epoch"),
        (
            lambda w: w.update({"backbone.AdaD.1.filt": torch.ones(64, 1, 3, 3) / 9}),
            r"backbone\.AdaD\.1\.filt must be a binomial blur",
        ),
    ],
)
def test_checkpoints_that_do_not_fit(published, change, message):
    with pytest.raises(ValueError, match=message):
        load_published(changed(published, change))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "segformer"}, "unknown layout 'segformer'; known: seg-aliasing"),
        ({"fusion": "carafe"}, "layout 'seg-aliasing' has no option fusion; it accepts: prefilter, prefilter_options"),
        ({"prefilter": "box"}, "unknown prefilter 'box'"),
        ({"prefilter": "adaptive_blur"}, r"missing backbone\.AdaD\.1\.conv\.weight"),
    ],
)
def test_wrong_options(published, options, message):
    with pytest.raises(ValueError, match=message):
        load_published(published, **options)


def test_prefilter_other_than_the_checkpoints():
    with pytest.raises(ValueError, match="the checkpoint has the prefilter 'blur', not 'daf'"):
        load_published(checkpoint("blur")[1], prefilter="daf")


def test_nothing_to_load():
    with pytest.raises(ValueError, match="must hold tensors by key, found nothing"):
        load_published({})
