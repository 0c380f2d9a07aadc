# SPDX-License-Identifier: Apache-2.0
"""Prefilters as timm's anti-aliasing layers."""

import copy
import pickle

import pytest
import timm
import torch
from timm.layers import BlurPool2d
from torch import nn

from dealias.analysis import AliasingProbe
from dealias.filters import Blur, DeAliasingFilter, Identity, as_aa_layer


def test_filters_and_takes_every_other_sample():
    torch.manual_seed(0)
    x = torch.randn(2, 6, 9, 12)
    layer = as_aa_layer("blur", taps=5)(6)
    assert torch.equal(layer(x), Blur(6, taps=5)(x)[:, :, ::2, ::2])
    third = as_aa_layer(Blur)(channels=6, stride=3)
    assert torch.equal(third(x), Blur(6)(x)[:, :, ::3, ::3])


def test_equals_timms_own_blur():
    x = torch.randn(2, 6, 16, 20)
    torch.testing.assert_close(as_aa_layer("blur", taps=3)(6)(x), BlurPool2d(6)(x))


@pytest.mark.parametrize("stride", [2, 4])
def test_cutoff_is_the_coarse_grids_nyquist_frequency(stride):
    assert as_aa_layer("daf")(64, stride=stride).prefilter.cutoff == 0.5 / stride
    assert as_aa_layer("daf", cutoff=0.3)(64, stride=stride).prefilter.cutoff == 0.3


def test_layers_can_be_pickled():
    layer = as_aa_layer("adaptive_blur")(8).eval()
    x = torch.randn(1, 8, 6, 6)
    assert torch.equal(pickle.loads(pickle.dumps(layer))(x), layer(x))


def test_without_a_step_nothing_is_filtered():
    layer = as_aa_layer("daf")(8, stride=1)
    x = torch.randn(1, 8, 6, 6)
    assert isinstance(layer.prefilter, Identity) and torch.equal(layer(x), x)


def test_device_and_dtype():
    layer = as_aa_layer("adaptive_blur")(8, device="meta", dtype=torch.float64)
    assert {(p.device.type, p.dtype) for p in layer.parameters()} == {("meta", torch.float64)}


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("resnet18", {}, 4),  # the stem's pool and three blocks
        ("resnet50", {"replace_stem_pool": True}, 4),
        ("test_resnet", {}, 4),
        ("mobilenetv2_100", {}, 4),
    ],
)
def test_in_networks_of_timm(name, options, count):
    network = timm.create_model(name, num_classes=3, aa_layer=as_aa_layer("daf"), **options).eval()
    assert sum(isinstance(module, DeAliasingFilter) for module in network.modules()) == count
    plain = timm.create_model(name, num_classes=3, **options)
    if not options:  # its pool becomes two modules
        assert set(network.state_dict()) == set(plain.state_dict())
    images = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        features, expected = network.forward_features(images), plain.eval().forward_features(images)
        assert torch.equal(copy.deepcopy(network)(images), network(images))
    assert features.shape == expected.shape


@pytest.mark.parametrize(("name", "is_clean"), [("none", False), ("flc", True)])
def test_a_probe_measures_behind_the_filter(name, is_clean):
    network = timm.create_model("resnet18", aa_layer=as_aa_layer(name)).eval()
    with torch.no_grad(), AliasingProbe(network) as probe:
        network(torch.rand(1, 3, 64, 64))
    steps = {layer.name: layer for layer in probe.compute() if layer.name.endswith(".step")}
    assert list(steps) == ["maxpool.1.step", *(f"layer{i}.0.aa.step" for i in (2, 3, 4))]
    assert {layer.nyquist for layer in steps.values()} == {0.25} and not probe.unmeasured
    assert all((layer.score < 1e-6) == is_clean for layer in steps.values())


def test_dilated_network_of_timm():
    network = timm.create_model("resnet18", output_stride=16, aa_layer=as_aa_layer("daf"), features_only=True)
    assert network(torch.randn(1, 3, 64, 64))[-1].shape[-1] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("box", {}), "unknown prefilter 'box'; known: none, blur"),
        (("blur", {"cutoff": 0.3}), "prefilter 'blur' has no option cutoff"),
        ((Blur, {"cutoff": 0.3}), "prefilter Blur has no option cutoff"),
    ],
)
def test_errors_come_before_timm_can_swallow_them(arguments, message):
    with pytest.raises(ValueError, match=message):
        as_aa_layer(arguments[0], **arguments[1])


def test_is_a_class_as_timm_asks():
    assert issubclass(as_aa_layer("flc"), nn.Module) and not issubclass(as_aa_layer("flc"), nn.AvgPool2d)
