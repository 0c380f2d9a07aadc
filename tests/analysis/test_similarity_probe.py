# SPDX-License-Identifier: Apache-2.0
"""The probe measures what layers give, of fusions before and after, and leaves the network as it is."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dealias.analysis import MapPair, RegionRule, SimilarityProbe, feature_maps, feature_similarity, maps_of_call
from dealias.fusion import create_fusion


class Pyramid(nn.Module):
    """Two levels and a fusion, whose channels may differ; ``output`` is on the fine grid."""

    def __init__(self, fusion, fine=8, coarse=8):
        super().__init__()
        self.stem = nn.Conv2d(3, fine, 3, stride=2, padding=1)
        self.down = nn.Conv2d(fine, coarse, 3, stride=2, padding=1)
        self.fusion = create_fusion(fusion, fine, coarse)

    def forward(self, images, named=False):
        hr = self.stem(images)
        lr = self.down(hr.relu())
        hr, up = self.fusion(lr=lr, hr=hr) if named else self.fusion(hr, lr)
        return torch.cat([hr, up], 1)


@pytest.fixture
def data(blobs):
    labels = torch.from_numpy(np.stack([blobs(seed, (33, 46), ignored=5) for seed in range(5)]))
    return torch.rand(5, 3, 33, 46, generator=torch.Generator().manual_seed(0)), labels


def pyramid(fusion="freqfusion", **channels):
    torch.manual_seed(0)
    network = Pyramid(fusion, **channels).eval()
    for parameter in network.fusion.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network


def test_maps_of_a_fusion_before_and_after(data):
    images, labels = data
    network = pyramid()
    probe = SimilarityProbe(network, ["fusion", "stem"])
    expected = network(images)
    with probe.measuring(labels):
        assert torch.equal(network(images), expected)
    with torch.no_grad():
        hr = network.stem(images)
        lr = network.down(hr.relu())
        fine, coarse = network.fusion(hr, lr)
    up = functional.interpolate(lr, hr.shape[-2:], mode="bilinear", align_corners=False)
    known = {
        ("stem", "output"): (None, hr),
        ("fusion", "coarse"): (up, coarse),
        ("fusion", "fine"): (hr, fine),
        ("fusion", "sum"): (hr + up, fine + coarse),
    }
    found = {(of.layer, of.map): of for of in probe.compute()}
    assert list(found) == list(known), "in the order of the calls"
    for place, (before, after) in known.items():
        of = found[place]
        assert (of.channels, of.size) == (8, (17, 23))
        np.testing.assert_equal(of.after.to_dict(), feature_similarity(after, labels).to_dict())
        if before is None:
            assert of.before is None
        else:
            np.testing.assert_equal(of.before.to_dict(), feature_similarity(before, labels).to_dict())
    assert not network.stem._forward_hooks and not network.fusion._forward_hooks and probe.unused == []


def test_bilinear_changes_nothing(data):
    images, labels = data
    network = pyramid("bilinear", coarse=4)
    probe = SimilarityProbe(network, ["fusion"])
    with probe.measuring(labels):
        network(images)
    assert [of.map for of in probe.compute()] == ["coarse", "fine"], "no sum of different channels"
    for of in probe.compute():
        np.testing.assert_equal(of.before.to_dict(), of.after.to_dict())


def test_batches_add_up(data):
    images, labels = data
    network = pyramid("carafe")
    one, other = (SimilarityProbe(network, ["fusion"], RegionRule(band=3, reach=4)) for _ in range(2))
    for start in range(5):
        with one.measuring(labels[start : start + 1]):
            network(images[start : start + 1])
    for start, stop in ((0, 2), (2, 5)):
        with other.measuring(labels[start:stop]):
            network(images[start:stop])
    for a, b in zip(one.compute(), other.compute(), strict=True):
        assert a.after.images == b.after.images == 5
        assert a.after.intra == pytest.approx(b.after.intra, abs=1e-5)
        assert [of.images for of in a.before.classes] == [of.images for of in b.before.classes]


def test_a_run_that_fails_does_not_count(data):
    images, labels = data
    network = pyramid()
    probe = SimilarityProbe(network, ["stem", "fusion"])
    with pytest.raises(RuntimeError, match="stopped"), probe.measuring(labels):
        network.stem(images)
        raise RuntimeError("stopped")
    assert probe.compute() == [] and probe.unused == ["stem", "fusion"] and not network.stem._forward_hooks


def test_fusions_called_by_name_and_under_autocast(data):
    images, labels = data
    network = pyramid("bilinear", coarse=4)
    plain, named = (SimilarityProbe(network, ["fusion"]) for _ in range(2))
    with plain.measuring(labels):
        network(images)
    with named.measuring(labels), torch.autocast("cpu", torch.bfloat16):
        network(images, named=True)
    for a, b in zip(plain.compute(), named.compute(), strict=True):
        assert a.map == b.map and b.after.intra == pytest.approx(a.after.intra, abs=0.02)


def test_maps_are_kept_for_pictures(data):
    images, _ = data
    network = pyramid()
    found = feature_maps(network, images, ["fusion", "stem"])
    assert list(found) == ["stem", "fusion"] and list(found["fusion"]) == ["coarse", "fine", "sum"]
    assert torch.equal(found["stem"]["output"].after, network.stem(images)) and found["stem"]["output"].before is None
    total = found["fusion"]["coarse"].after + found["fusion"]["fine"].after
    assert torch.equal(found["fusion"]["sum"].after, total) and not total.requires_grad


def test_what_is_wrong_is_named(data):
    images, labels = data
    network = pyramid()
    with pytest.raises(ValueError, match=r"no module 'fusoin'; among its modules: fusion"):
        SimilarityProbe(network, ["fusoin"])
    with pytest.raises(ValueError, match=r"as many as label maps, got torch.float32 \(5, 8, 17, 23\)"):
        with SimilarityProbe(network, ["stem"]).measuring(labels[:2]):
            network(images)
    pair = (torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 2, 2))
    with pytest.raises(ValueError, match=r"layer gives tuple of 2; expected a map"):
        maps_of_call("layer", pair, {}, pair)
    with pytest.raises(ValueError, match=r"layer gives a tensor \(1, 5\); expected a map"):
        maps_of_call("layer", pair, {}, torch.zeros(1, 5))
    assert maps_of_call("layer", [1], {}, pair[0]) == {"output": MapPair(None, pair[0])}
