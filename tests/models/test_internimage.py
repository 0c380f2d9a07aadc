# SPDX-License-Identifier: Apache-2.0
"""Segmentation networks with InternImage: any size, prefilters and mixers, export, and that they learn."""

import pytest
import torch
import torch.nn.functional as F
import yaml

from dealias.filters import DeAliasingFilter
from dealias.mixing import FreqMix
from dealias.models import create_model, rebuild

SMALL = {"channels": [8, 16, 16, 24], "depths": [1, 1, 2, 1], "groups": [2, 2, 2, 3], "mlp_ratio": 2.0}


def small(arch="upernet", **options):
    torch.manual_seed(0)
    options = {"encoder_options": SMALL, "decoder_channels": 16, "classes": 5} | options
    return create_model(arch, "internimage_t", **options)


@pytest.mark.parametrize(("arch", "fusion"), [("upernet", "freqfusion"), ("fpn", "bilinear")])
@pytest.mark.parametrize("size", [(32, 32), (65, 97)])
def test_any_image_size(arch, fusion, size):
    network = small(arch, fusion=fusion).eval()
    with torch.no_grad():
        logits = network(torch.randn(1, 3, *size))
    assert logits.shape == (1, 5, *size) and logits.isfinite().all()


def test_published_size():
    """UPerNet with 512 channels and an auxiliary head for 150 classes: 59 million in table 5 of the paper."""
    with torch.device("meta"):
        network = create_model("upernet", "internimage_t", classes=150, auxiliary=True)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6) == 59


def test_prefilters_and_mixers_are_put_in():
    plain, network = small("fpn"), small("fpn", prefilter="daf", mixer="freqmix", mixer_options={"reduction": 4})
    filters = {name: m for name, m in network.encoder.named_modules() if isinstance(m, DeAliasingFilter)}
    mixers = {name: m for name, m in network.encoder.named_modules() if isinstance(m, FreqMix)}
    assert list(filters) == [f"levels.{n}.prefilter" for n in (1, 2, 3)]
    assert [f.channels for f in filters.values()] == [8, 16, 16]
    assert list(mixers) == [f"levels.{n}.blocks.{b}.dcn.aggregate.mixer" for n, b in ((1, 0), (2, 0), (2, 1), (3, 0))]
    assert [m.channels for m in mixers.values()] == [16, 16, 16, 24]
    images = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        assert not torch.allclose(network.eval()(images), plain.eval()(images))
    own = {key: value for key, value in network.state_dict().items() if ".mixer." not in key}
    plain.load_state_dict(own, strict=True)


def test_configuration_rebuilds_the_network():
    network = small(drop_path_rate=0.1).eval()
    other = rebuild(yaml.safe_load(yaml.safe_dump(network.config))).eval()
    other.load_state_dict(network.state_dict())
    images = torch.randn(1, 3, 40, 56)
    assert torch.equal(other(images), network(images))


def test_exports_for_any_image_size():
    network = small(fusion="bilinear").eval()
    batch, height, width = (torch.export.Dim(name, min=low, max=4096) for name, low in (("b", 1), ("h", 33), ("w", 33)))
    program = torch.export.export(
        network, (torch.randn(2, 3, 65, 97),), dynamic_shapes=({0: batch, 2: height, 3: width},)
    )
    for shape in ((1, 3, 33, 47), (3, 3, 64, 128)):
        images = torch.randn(shape)
        torch.testing.assert_close(program.module()(images), network(images), rtol=1e-4, atol=1e-5)


def test_learns():
    network = small("fpn", classes=2, decoder_channels=24)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    target = torch.zeros(4, 64, 64, dtype=torch.long)
    for i, left in enumerate((0, 16, 32, 40)):
        target[i, 8 * i :, left : left + 24] = 1
    images = target[:, None] * 2.0 - 1 + 0.1 * torch.randn(4, 3, 64, 64)
    for _ in range(25):
        loss = F.cross_entropy(network(images), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (network(images).argmax(1) == target).float().mean() > 0.95
    offsets = [p for name, p in network.named_parameters() if "to_offsets" in name]
    assert all(p.any() for p in offsets), "the offsets are trained too"
