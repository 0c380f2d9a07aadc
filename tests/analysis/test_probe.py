# SPDX-License-Identifier: Apache-2.0
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from dealias.analysis import AliasingProbe, aliasing_score, equivalent_sampling_rate, power_spectrum, radial_spectrum

FOUND = {
    "resnet18": ["conv1", "maxpool"] + [f"layer{n}.0.{part}" for n in (2, 3, 4) for part in ("conv1", "downsample.0")],
    "resnetblur50": ["conv1", "maxpool.1"]
    + [f"layer{n}.0.{part}" for n in (2, 3, 4) for part in ("aa", "downsample.0")],
    "convnext_atto": ["stem.0"] + [f"stages.{n}.downsample.1" for n in (1, 2, 3)],
    "swin_tiny_patch4_window7_224": ["patch_embed.proj"] + [f"layers.{n}.downsample" for n in (1, 2, 3)],
    "mobilenetv3_small_100": ["conv_stem"] + [f"blocks.{n}.0.conv_dw" for n in (0, 1, 2, 4)],
    "densenet121": ["features.conv0", "features.pool0"] + [f"features.transition{n}.pool" for n in (1, 2, 3)],
}


def images(count=2, size=64, seed=0):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(16, 16, 5, stride=2, padding=2, groups=16)).eval()


def probed(net, *batches, layers=None):
    with torch.no_grad(), AliasingProbe(net, layers) as probe:
        for batch in batches:
            net(batch)
    return probe


@pytest.mark.parametrize(("name", "layers"), FOUND.items(), ids=FOUND)
def test_layers_of_timm_models(name, layers):
    net = timm.create_model(name, num_classes=0).eval()
    probe = probed(net, images(1, 224 if "swin" in name else 64))
    found = probe.compute()
    assert [layer.name for layer in found] == probe.layers == layers
    assert probe.unused == [] and probe.unmeasured == []
    for layer in found:
        assert layer.nyquist == layer.rate / 2 and 0 <= layer.score <= 1 and layer.images == 1
        module = net.get_submodule(layer.name)
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            assert layer.rate == equivalent_sampling_rate(module)


def test_swins_merging_is_seen_with_its_channels_last():
    net = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0).eval()
    seen = {}
    merging = net.layers[1].downsample
    merging.register_forward_hook(lambda module, args, output: seen.update(x=args[0]))
    layer = probed(net, images(2, 224)).compute()[1]
    assert (layer.kind, layer.stride, layer.in_channels, layer.out_channels) == ("PatchMerging", 2, 96, 192)
    assert layer.rate == pytest.approx(0.70711, abs=1e-5)
    expected = aliasing_score(seen["x"].permute(0, 3, 1, 2), layer.nyquist).mean()
    assert layer.score == pytest.approx(expected.item(), abs=1e-6)


def test_numbers_are_those_of_the_inputs():
    net, batch = network(), images(4)
    inputs = {0: batch, 2: net[:2](batch), 5: net[:5](batch)}
    probe = probed(net, batch)
    kinds = {"0": "convolution", "2": "max pool", "5": "depthwise convolution"}
    for layer in probe.compute():
        x = inputs[int(layer.name)]
        scores = aliasing_score(x, layer.nyquist)
        assert probe.image_scores[layer.name] == pytest.approx(scores.tolist(), abs=1e-6)
        assert layer.score == pytest.approx(scores.mean().item(), abs=1e-6)
        assert layer.score_std == pytest.approx(scores.std().item(), abs=1e-6)
        frequencies, rings = radial_spectrum(x)
        assert layer.frequencies == frequencies.tolist()
        assert layer.radial_power == pytest.approx(rings.mean(0).tolist(), abs=1e-6)
        torch.testing.assert_close(torch.tensor(layer.spectrum).double(), power_spectrum(x).mean(0))
        assert layer.kind == kinds[layer.name]


def test_batches_add_up():
    net, batch = network(), images(7)
    whole, parts = probed(net, batch), probed(net, batch[:3], batch[3:4], batch[4:])
    for one, other in zip(whole.compute(), parts.compute(), strict=True):
        assert (one.name, one.images) == (other.name, 7)
        assert one.score == pytest.approx(other.score, abs=1e-7)
        assert one.score_std == pytest.approx(other.score_std, abs=1e-7)
        assert one.radial_power == pytest.approx(other.radial_power, abs=1e-7)


def test_the_network_is_left_as_it_was():
    net, batch = network(), images()
    before, keys = net(batch), list(net.state_dict())
    with AliasingProbe(net) as probe:
        torch.testing.assert_close(net(batch), before, rtol=0, atol=0)
        net(batch).sum().backward()
    assert probe.compute()[0].images == 4
    with pytest.raises(RuntimeError, match="stop"), AliasingProbe(net):
        raise RuntimeError("stop")
    assert all(not (module._forward_hooks or module._forward_pre_hooks) for module in net.modules())
    assert list(net.state_dict()) == keys and not net.training


@pytest.mark.parametrize("filter_first", [True, False])
def test_a_filter_before_a_layer_is_seen(filter_first):
    """Whether its hook was added before or after those of the probe."""
    net, batch = network(), images()

    def blur(module, args):
        return (F.avg_pool2d(args[0], 5, stride=1, padding=2),)

    expected = aliasing_score(F.avg_pool2d(net[:2](batch), 5, stride=1, padding=2), 0.25).mean().item()
    if filter_first:
        net[2].register_forward_pre_hook(blur)
    with torch.no_grad(), AliasingProbe(net) as probe:
        if not filter_first:
            net[2].register_forward_pre_hook(blur)
        net(batch)
    assert probe.compute()[1].score == pytest.approx(expected, abs=1e-6)
    assert expected < 0.5 * aliasing_score(net[:2](batch), 0.25).mean().item()


def test_a_filter_that_is_a_child_does_not_hide_a_layer_found_by_observation():
    net = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0).eval()
    merging = net.layers[1].downsample
    merging.add_module("prefilter", nn.Conv2d(96, 96, 3, padding=1, groups=96))
    merging.register_forward_pre_hook(lambda m, args: (m.prefilter(args[0].movedim(-1, 1)).movedim(1, -1),))
    assert probed(net, images(1, 224)).layers == FOUND["swin_tiny_patch4_window7_224"]


class Shared(nn.Module):
    """One pool for two maps, and a layer that is not used."""

    def __init__(self):
        super().__init__()
        self.pool, self.idle = nn.MaxPool2d(2), nn.Conv2d(3, 3, 3, stride=2)
        self.again = self.pool

    def forward(self, x, fail=False):
        y = self.pool(x)
        if fail:
            raise ValueError("too bad")
        return self.again(input=y)


def test_calls_of_a_shared_layer_are_averaged_and_unused_layers_listed():
    net, batch = Shared(), images()
    probe = probed(net, batch)
    expected = (aliasing_score(batch, 0.25) + aliasing_score(F.max_pool2d(batch, 2), 0.25)) / 2
    assert probe.image_scores == {"pool": pytest.approx(expected.tolist(), abs=1e-6)}
    assert (probe.layers, probe.unused) == (["pool", "idle"], ["idle"])
    assert probe.compute()[0].images == 2


def test_runs_that_fail_do_not_count():
    net, batch = Shared(), images()
    with AliasingProbe(net) as probe:
        with pytest.raises(ValueError, match="too bad"):
            net(batch, fail=True)
        net(batch[:1])
    assert len(probe.image_scores["pool"]) == 1


class Functional(nn.Module):
    """Pools that are no layers: one before all layers of its module, and one after a layer."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Down(), nn.Sequential(nn.ReLU(), Late())
        self.gate, self.bins = nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d(2)

    def forward(self, x):
        y = self.second(self.first(x))
        return y * self.gate(y) + F.interpolate(self.bins(y), y.shape[-2:])


class Down(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)

    def forward(self, x):
        return self.conv(F.avg_pool2d(x, 2))


class Late(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x):
        return F.max_pool2d(self.norm(x), 2)


def test_functional_pools_are_measured_or_named():
    net, batch = Functional().eval(), images()
    probe = probed(net, batch)
    assert probe.layers == ["first"] and probe.unmeasured == ["second.1"]
    layer = probe.compute()[0]
    assert (layer.kind, layer.stride, layer.rate) == ("Down", 2, pytest.approx(0.70711, abs=1e-5))
    assert layer.score == pytest.approx(aliasing_score(batch, layer.nyquist).mean().item(), abs=1e-6)


def test_layers_can_be_chosen_also_whole_stages():
    net = timm.create_model("resnet18", num_classes=0).eval()
    probe = probed(net, images(), layers=["layer3", "maxpool"])
    stage = {layer.name: layer for layer in probe.compute()}["layer3"]
    assert set(probe.image_scores) == set(probe.layers) == {"maxpool", "layer3"} and probe.unmeasured == []
    assert stage.rate == pytest.approx(0.70711, abs=1e-5)
    alone = {layer.name: layer for layer in probed(net, images()).compute()}["layer3.0.conv1"]
    assert stage.score == pytest.approx(alone.score, abs=1e-6)
    with pytest.raises(ValueError, match=r"no layers layer9; its downsampling layers: conv1, maxpool, layer2"):
        AliasingProbe(net, ["layer9", "conv1"])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_autocast_is_measured_in_single_precision(mode):
    net, batch = network(), images()
    exact, probe = probed(net, batch).compute(), AliasingProbe(net)
    with mode(), torch.autocast("cpu", torch.bfloat16), probe:
        net(batch)
    found = probe.compute()
    assert found[0] == exact[0], "the same input"
    for one, other in zip(exact[1:], found[1:], strict=True):
        assert other.score == pytest.approx(one.score, rel=0.05) and one.score > 0.01
    with probe:  # sums begun in inference mode go on outside of it
        net(batch)
    assert [layer.images for layer in probe.compute()] == [4, 4, 4]


def test_nothing_but_numbers_is_kept():
    net = network()
    with torch.no_grad(), AliasingProbe(net) as probe:
        for seed in range(3):
            net(images(seed=seed))
        kept = [value for totals in probe._totals.values() for value in vars(totals).values()]
    assert not any(isinstance(value, torch.Tensor) for value in kept) and not probe._pending and not probe._running
    assert {len(scores) for scores in probe.image_scores.values()} == {6}


def test_a_layer_by_itself_and_small_or_odd_maps():
    layer = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    assert probed(layer, images(1, 9)).layers == ["Conv2d"]
    assert probed(layer, images(1, 1)).unused == ["Conv2d"], "one pixel stays one pixel"
    assert probed(layer, images(0, 8)).compute() == []
    assert probed(nn.Sequential(nn.MaxPool2d(2)), images(2, 9)[:, :, :, :5]).compute()[0].images == 2
