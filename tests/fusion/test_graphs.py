# SPDX-License-Identifier: Apache-2.0
"""Nothing that a GPU would wait for: no value is read back, and no number sent, in any module, forward or backward."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dealias import ops
from dealias.filters import create_prefilter, list_prefilters
from dealias.fusion import create_fusion, list_fusions
from dealias.mixing import create_mixer, list_mixers
from dealias.modulation import ARS

WAITS = ("_local_scalar_dense", "lift_fresh", "nonzero", "masked_select", "equal.default")
OPTIONS = {"a2u": {"norm_groups": 8}, "indexnet": {}}


def fusion(name):
    module = create_fusion(name, 16, 16, **OPTIONS.get(name, {}))
    return module, (torch.randn(1, 16, 8, 8), torch.randn(1, 16, 4, 4))


MODULES = {
    **{name: lambda name=name: fusion(name) for name in list_fusions()},
    **{f"{name} filter": lambda name=name: (create_prefilter(name, 8), [maps()]) for name in list_prefilters()},
    **{f"{name} mixer": lambda name=name: (create_mixer(name, 32), [maps(32)]) for name in list_mixers()},
    "ars": lambda: (ARS(8), [maps()]),
}


def maps(channels=8):
    return torch.randn(1, channels, 12, 12)


class Watch(TorchDispatchMode):
    """Notes the operators that make the host wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.waited_for = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.waited_for += [str(func) for name in WAITS if name in str(func)]
        return func(*args, **(kwargs or {}))


def train(module, inputs):
    outputs = module(*inputs)
    tensors = [x for x in (outputs if isinstance(outputs, tuple) else [outputs]) if isinstance(x, torch.Tensor)]
    sum(x.square().mean() for x in tensors if x.requires_grad).backward()
    return tensors


def test_the_watch_sees_what_waits():
    x = torch.ones(2)
    for wait in (lambda: x.sum().item(), lambda: x.new_tensor([1.0]), x.nonzero):
        with Watch() as watch:
            wait()
        assert watch.waited_for


@pytest.mark.parametrize("name", MODULES)
def test_no_module_waits(name):
    module, inputs = MODULES[name]()
    inputs = [x.requires_grad_() for x in inputs]
    train(module, inputs)  # tables are made once
    with ops.use_backend("reference"), Watch() as watch:
        train(module, inputs)
    assert not watch.waited_for


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", MODULES)
def test_a_graph_can_be_captured(name):
    module, inputs = MODULES[name]()
    module, inputs = module.cuda(), [x.cuda() for x in inputs]
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream), torch.no_grad():
        for _ in range(3):
            expected = module(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), torch.no_grad():
        found = module(*inputs)
    graph.replay()
    for made, wanted in zip(found, expected, strict=True):
        if isinstance(made, torch.Tensor):
            torch.testing.assert_close(made, wanted)
