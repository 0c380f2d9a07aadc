# SPDX-License-Identifier: Apache-2.0
"""SegNeXt by name: published sizes and options, and a small one in use."""

import pytest
import torch
import torch.nn.functional as F
import yaml

from dealias.fusion import FreqFusion
from dealias.models import create_model, rebuild

SMALL = {"channels": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "mlp_ratios": [2, 2, 2, 2]}


def small(fusion="freqfusion", arch="segnext", **options):
    torch.manual_seed(0)
    options = {"encoder_options": SMALL, "decoder_channels": 16} | options
    return create_model(arch, "mscan_t", classes=5, fusion=fusion, **options)


def count(*arguments, **options):
    with torch.device("meta"):
        return sum(p.numel() for p in create_model("segnext", *arguments, classes=150, **options).parameters())


def test_published_sizes():
    """Table 2 of the paper: 4.3, 13.9, 27.6 and 48.9 million."""
    widths = {"mscan_t": 256, "mscan_s": 256, "mscan_b": 512, "mscan_l": 1024}
    counts = [count(name, decoder_channels=width) for name, width in widths.items()]
    assert counts[0] == 4_263_414
    assert [round(n / 1e6, 1) for n in counts] == [4.3, 13.9, 27.6, 48.9]


def test_published_sizes_with_freqfusion():
    assert count("mscan_t", fusion="freqfusion") == 4_520_794
    assert count("mscan_t", fusion="freqfusion", fusion_options={"feature_resample": False}) == 4_433_338


def test_freqfusion_has_the_published_options_unless_others_are_given():
    with torch.device("meta"):
        fusions = create_model("segnext", "mscan_t", fusion="freqfusion").decoder.path.fusions
    assert [(f.hr_channels, f.lr_channels, f.compress_hr.out_channels) for f in fusions] == [
        (160, 256, 104),
        (64, 416, 120),
    ]
    assert all(f.lowpass_window is None and f.sampler.direction_feat == "sim" for f in fusions)
    given = {"compressed_channels": 8, "hamming_window": True, "direction_feat": "sim_concat"}
    for fusion in small(fusion_options=given).decoder.path.fusions:
        assert fusion.compress_hr.out_channels == 8 and fusion.lowpass_window is not None
        assert fusion.sampler.direction_feat == "sim_concat"
    for fusion in small(arch="fpn").decoder.neck.path.fusions:
        assert fusion.lowpass_window is not None, "other architectures keep the paper's defaults"


def test_a_factory_is_used_as_it_is():
    fusions = small(FreqFusion).decoder.path.fusions
    assert all(f.lowpass_window is not None for f in fusions)


@pytest.mark.parametrize("arch", ["segnext", "upernet", "fpn"])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (65, 97)])
def test_any_image_size(arch, size):
    network = small(arch=arch).eval()
    with torch.no_grad():
        logits = network(torch.randn(1, 3, *size))
    assert logits.shape == (1, 5, *size) and logits.isfinite().all()


def test_prefilters_are_put_in():
    network = small(prefilter="blur")
    assert [level.prefilter.channels for level in network.encoder.levels[1:]] == SMALL["channels"][:-1]
    with pytest.raises(ValueError, match="MSCANLevel has no place for a mixer"):
        small(mixer="freqmix")


def test_options_of_the_decomposition():
    layer = small(decomposition_options={"rank": 3, "seed": None}).decoder.hamburger.decomposition
    assert layer.bases is None and small().decoder.hamburger.decomposition.bases.shape == (1, 1, 16, 16)
    with pytest.raises(
        ValueError, match="the decomposition has no option ranks; it accepts: rank, groups, train_steps"
    ):
        small(decomposition_options={"ranks": 3})


def test_configuration_rebuilds_the_network():
    network = small(decomposition_options={"seed": 4}).eval()
    config = yaml.safe_load(yaml.safe_dump(network.config))
    other = rebuild(config).eval()
    other.load_state_dict(network.state_dict())
    images = torch.randn(1, 3, 40, 56)
    assert torch.equal(other(images), network(images))


@pytest.mark.parametrize("fusion", ["bilinear", "freqfusion"])
def test_a_single_image_trains_in_bfloat16(fusion):
    network = small(fusion, drop_path_rate=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.randn(1, 3, 64, 64))
    loss = F.cross_entropy(logits.float(), torch.randint(5, (1, 64, 64)))
    loss.backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_half_precision_is_close_to_single():
    network, images = small().eval(), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = network(images)
        halved = network.to(torch.bfloat16)(images.bfloat16())
    assert halved.dtype == torch.bfloat16
    assert (halved.float() - expected).abs().max() < 0.1 * expected.abs().max()


def test_training_compiles_as_one_graph():
    network, images = small("bilinear").train(), torch.randn(2, 3, 64, 64)
    torch.compiler.reset()
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    found = []
    for call in (compiled, network):
        torch.manual_seed(1)
        logits = call(images)
        gradients = torch.autograd.grad(logits.square().mean(), list(network.parameters()))
        found.append((logits, torch.cat([gradient.flatten() for gradient in gradients])))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4 * b.abs().max().item())


def test_exports_for_any_image_size():
    network = small("bilinear").eval()
    batch, height, width = (torch.export.Dim(name, min=low, max=4096) for name, low in (("b", 1), ("h", 33), ("w", 33)))
    program = torch.export.export(
        network, (torch.randn(2, 3, 65, 97),), dynamic_shapes=({0: batch, 2: height, 3: width},)
    )
    for shape in ((1, 3, 33, 47), (3, 3, 64, 128)):
        images = torch.randn(shape)
        torch.testing.assert_close(program.module()(images), network(images), rtol=1e-4, atol=1e-5)


def test_learns():
    torch.manual_seed(0)
    network = create_model("segnext", "mscan_t", classes=2, decoder_channels=32, encoder_options=SMALL)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3)
    target = torch.zeros(4, 64, 64, dtype=torch.long)
    for i, left in enumerate((0, 16, 32, 40)):
        target[i, 8 * i :, left : left + 24] = 1
    images = target[:, None] * 2.0 - 1 + 0.1 * torch.randn(4, 3, 64, 64)
    for _ in range(30):
        loss = F.cross_entropy(network(images), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (network(images).argmax(1) == target).float().mean() > 0.95
