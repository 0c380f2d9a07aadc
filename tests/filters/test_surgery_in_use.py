# SPDX-License-Identifier: Apache-2.0
"""Networks with prefilters in place are copied, stored, compiled, exported, moved and trained like any other."""

import copy
import io
import pickle

import pytest
import timm
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dealias.filters import antialias_

IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def swin(prefilter):
    options = {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8), "img_size": 56}
    return build("swin_tiny_patch4_window7_224", prefilter, **options), torch.randn(2, 3, 56, 56)


def resnet(prefilter):
    return build("test_resnet", prefilter), IMAGES


def build(name, prefilter, **options):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=5, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1)  # timm starts blocks as identities
    antialias_(network, prefilter)
    return network.eval()


CASES = [(resnet, "daf"), (resnet, "adaptive_blur"), (swin, "blur")]
NETWORKS = pytest.mark.parametrize(("make", "prefilter"), CASES, ids=lambda x: x if isinstance(x, str) else x.__name__)


@NETWORKS
def test_copies_have_filters_of_their_own(make, prefilter):
    network, images = make(prefilter)
    stored = io.BytesIO()
    torch.save(network, stored)
    stored.seek(0)
    others = [copy.deepcopy(network), pickle.loads(pickle.dumps(network)), torch.load(stored, weights_only=False)]
    with torch.no_grad():
        expected = network(images)
        for parameter in network.parameters():
            parameter.zero_()
        for other in others:
            assert torch.equal(other(images), expected)


@NETWORKS
def test_weights_can_be_loaded(make, prefilter):
    network, images = make(prefilter)
    torch.manual_seed(1)
    other = copy.deepcopy(network)
    for parameter in other.parameters():
        nn.init.normal_(parameter)
    other.load_state_dict(network.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(other(images), network(images))


@NETWORKS
def test_compiles_as_one_graph(make, prefilter):
    network, images = make(prefilter)
    torch.compiler.reset()
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(images), network(images), rtol=1e-4, atol=1e-5)


@NETWORKS
def test_exports(make, prefilter):
    network, images = make(prefilter)
    program = torch.export.export(network, (images,))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), network(images), rtol=1e-4, atol=1e-5)


@NETWORKS
def test_channels_last_and_double_precision(make, prefilter):
    network, images = make(prefilter)
    with torch.no_grad():
        expected = network(images)
        last = copy.deepcopy(network).to(memory_format=torch.channels_last)
        found = last(images.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        double = network.double()(images.double())
    torch.testing.assert_close(double.float(), expected, rtol=1e-4, atol=1e-5)


def test_filters_follow_device_precision_and_mode_of_their_layer():
    network = timm.create_model("test_resnet").to("meta", torch.bfloat16)
    network.layer2.eval()
    report = antialias_(network, "adaptive_blur")
    for entry in report.filtered:
        tensors = [*entry.prefilter.parameters()]
        assert {(t.device.type, t.dtype) for t in tensors} == {("meta", torch.bfloat16)}
        assert entry.prefilter.training != entry.name.startswith("layer2")


@NETWORKS
def test_trains_in_parallel_processes(make, prefilter, tmp_path):
    network, images = make(prefilter)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        parallel = DistributedDataParallel(network.train())
        with torch.autocast("cpu", torch.bfloat16):
            loss = parallel(images).square().mean()
        loss.backward()
    finally:
        dist.destroy_process_group()
    assert loss.isfinite()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []
    learned = [p.grad.abs().sum() for name, p in network.named_parameters() if ".prefilter." in name]
    assert bool(learned) == (prefilter == "adaptive_blur") and all(learned)
