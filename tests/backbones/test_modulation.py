# SPDX-License-Identifier: Apache-2.0
"""Modulations at the inputs of stages: what they see, who sees what they make of it, and who hears of it."""

import copy
import pickle
import threading

import pytest
import torch
from torch import nn

from dealias.backbones import MSCAN, TimmEncoder, recording
from dealias.backbones.modulation import insert_modulation
from dealias.modulation import Modulation
from dealias.ops.warp import Warp

SWIN = {"embed_dim": 24, "depths": (1, 1, 2, 1), "num_heads": (1, 2, 4, 8)}
ENCODERS = {
    "resnet": lambda: TimmEncoder("resnet18"),
    "convnext": lambda: TimmEncoder("test_convnext"),
    "swin": lambda: TimmEncoder("swin_tiny_patch4_window7_224", options=SWIN),
    "mscan": lambda: MSCAN((8, 16, 24, 32), (1, 1, 1, 1), (2, 2, 2, 2)),
}


class Mirror(nn.Module):
    """Turns maps round, and says so; keeps what it saw only as its shape."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        height, width = x.shape[-2:]
        rows, columns = torch.arange(float(height)), torch.arange(width - 1.0, -1.0, -1.0)
        points = torch.stack(torch.meshgrid(columns, rows, indexing="xy")).expand(len(x), -1, -1, -1)
        return Modulation(self.gain * x.flip(-1), Warp(points, (height, width)), torch.ones_like(x[:, :1]))


@pytest.fixture(params=ENCODERS)
def encoder(request):
    return ENCODERS[request.param]().eval()


@torch.no_grad()
def test_stages_see_the_modulated_level_before(encoder):
    stages, keys = encoder.stages(), list(encoder.state_dict())
    mirrors = [Mirror() for _ in stages]
    for stage, mirror in zip(stages, mirrors, strict=True):
        stage.insert_modulation(mirror)
    seen = []
    for stage in stages:
        stage.entry.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with recording() as tape:
        levels = encoder(torch.randn(2, 3, 64, 96))
    for stage, mirror, level, entry, resampling in zip(stages, mirrors, levels, seen, tape, strict=False):
        assert mirror.shapes == [tuple(level.shape)]
        assert torch.equal(entry.permute(0, 3, 1, 2) if stage.channels_last else entry, level.flip(-1))
        assert resampling.warp.grid_size == resampling.attention.shape[-2:] == level.shape[-2:]
    assert len(tape) == len(seen) == 3
    new = [key for key in encoder.state_dict() if key not in keys]
    assert len(new) == 3 and all(key.endswith(".modulation.gain") for key in new)


@pytest.mark.parametrize("modulation_first", [True, False])
def test_a_prefilter_comes_after_the_modulation(modulation_first):
    stage = ENCODERS["resnet"]().stages()[0]
    mirror, ramp = Mirror(), torch.arange(8.0).expand(1, 64, 8, 8)
    insertions = [lambda: stage.insert_modulation(mirror), lambda: stage.insert_prefilter(Add(ramp))]
    for insert in insertions if modulation_first else reversed(insertions):
        insert()
    seen = []
    stage.entry.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    stage.insert_mixers(lambda channels: nn.Identity())
    x = torch.randn(1, 64, 8, 8)
    stage.entry(x)
    assert torch.equal(seen[0], x.flip(-1) + ramp)


class Add(nn.Module):
    def __init__(self, other):
        super().__init__()
        self.other = other

    def forward(self, x):
        return x + self.other


def test_copies_use_their_own():
    layer = nn.ReLU()
    insert_modulation(layer, Mirror())
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        with torch.no_grad():
            other.modulation.gain.fill_(3.0)
        assert other(torch.ones(1, 1, 2, 2)).max() == 3 and layer(torch.ones(1, 1, 2, 2)).max() == 1


def test_one_modulation_for_a_layer():
    layer = nn.ReLU()
    insert_modulation(layer, Mirror())
    with pytest.raises(ValueError, match="this ReLU has a modulation already"):
        insert_modulation(layer, Mirror())
    with pytest.raises(ValueError, match="a Sequential runs all its children"):
        insert_modulation(nn.Sequential(), Mirror())


def layers(count):
    made = [nn.ReLU() for _ in range(count)]
    for layer in made:
        insert_modulation(layer, Mirror())
    return made


def test_every_call_has_a_record_of_its_own():
    first, second = layers(2)
    x = torch.rand(1, 1, 3, 4)
    with recording() as outer:
        first(x)
        with recording() as inner:
            second(x)
            second(x)
        first(x)
    first(x)
    assert (len(outer), len(inner)) == (2, 2)


def test_a_record_ends_with_an_error():
    (layer,) = layers(1)
    with pytest.raises(RuntimeError, match="stop"), recording() as tape:
        raise RuntimeError("stop")
    layer(torch.rand(1, 1, 3, 4))
    assert tape == []


def test_threads_do_not_write_into_each_others_record():
    (layer,) = layers(1)
    barrier, lengths = threading.Barrier(2), {}

    def run(count):
        with recording() as tape:
            barrier.wait()
            for _ in range(count):
                layer(torch.rand(1, 1, 3, count))
            barrier.wait()
        lengths[count] = [resampling.warp.size for resampling in tape]

    threads = [threading.Thread(target=run, args=(count,)) for count in (2, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == {count: [(3, count)] * count for count in (2, 5)}
