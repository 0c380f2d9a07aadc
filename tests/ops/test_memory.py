# SPDX-License-Identifier: Apache-2.0
"""No operator unfolds a map: extra memory stays below twice the output."""

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dealias.ops.deformable_aggregation import _tapwise as aggregation
from dealias.ops.deformable_aggregation.taps import Geometry
from dealias.ops.kernel_normalize import kernel_normalize_reference
from dealias.ops.local_similarity import _symmetric as similarity
from dealias.ops.local_similarity import local_similarity_reference
from dealias.ops.point_sample import point_sample_reference
from dealias.ops.reassemble import _shifted as reassembly
from dealias.ops.reassemble import reassemble_reference


class PeakBytes(TorchDispatchMode):
    """Follows every storage made inside, and keeps the largest total alive at one time."""

    def __init__(self, inputs):
        super().__init__()
        self.known = {x.untyped_storage()._cdata for x in inputs if isinstance(x, torch.Tensor)}
        self.alive, self.peak = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for storage in (x.untyped_storage() for x in tree_leaves(out) if isinstance(x, torch.Tensor)):
            if storage._cdata not in self.known and storage._cdata not in self.alive:
                self.alive[storage._cdata] = storage.nbytes()
                weakref.finalize(storage, self.alive.pop, storage._cdata)
        self.peak = max(self.peak, sum(self.alive.values()))
        return out


def extra_memory(function, *inputs):
    """Peak bytes beside the output, in multiples of the output's."""
    with torch.no_grad(), PeakBytes(inputs) as memory:
        outputs = tree_leaves(function(*inputs))
    size = sum(x.numel() * x.element_size() for x in outputs)
    return (memory.peak - size) / size


def unfolded(x, weight):
    windows = torch.nn.functional.unfold(x, 3, padding=1).reshape(*x.shape[:2], 9, *x.shape[2:])
    return (windows * weight[:, None]).sum(2)


M = {
    "features": torch.rand(2, 64, 32, 40),
    "half": torch.rand(2, 64, 128, 128).bfloat16(),
    "half_kernels": torch.rand(2, 9, 128, 128).bfloat16(),
    "kernels": torch.rand(2, 25, 64, 80),
    "small_kernels": torch.rand(2, 9, 32, 40),
    "points": torch.rand(2, 4, 2, 64, 80) * 30,
    "offsets": torch.randn(2, 4, 9, 2, 32, 40),
    "shares": torch.rand(2, 4, 9, 32, 40),
    "small_gradient": torch.rand(2, 64, 32, 40),
    "gradient": torch.rand(2, 64, 64, 80),
    "similarity_gradient": torch.rand(2, 8, 32, 40),
}
KERNEL = Geometry(kernel_size=3, stride=1, padding=1, dilation=1)
LIMITS = {"deformable_aggregation": 2.5}  # offsets are larger than the output here, and a tap's points come on top
CASES = {
    "reassemble_reference": (reassemble_reference, M["features"], M["kernels"], 1, 2),
    "reassemble": (reassembly.forward, M["features"], M["kernels"], 1, 2),
    "reassemble_half": (reassembly.forward, M["half"], M["half_kernels"], 1, 1),
    "reassemble_backward": (reassembly.backward, M["gradient"], M["features"], M["kernels"], 1, 2, True, True),
    "kernel_normalize_reference": (kernel_normalize_reference, M["kernels"], 5, torch.ones(5, 5)),
    "local_similarity_reference": (local_similarity_reference, M["features"], 3, 2, "cosine"),
    "local_similarity": (similarity.forward, M["features"], 3, 2, "cosine"),
    "local_similarity_backward": (similarity.backward, M["similarity_gradient"], M["features"], 3, 2, "cosine"),
    "deformable_aggregation": (aggregation.forward, M["features"], M["offsets"], M["shares"], KERNEL, 1.0),
    "deformable_aggregation_backward": (
        aggregation.backward,
        *(M[name] for name in ("small_gradient", "features", "offsets", "shares")),
        KERNEL,
        1.0,
        [True, True, True],
    ),
    "point_sample_reference": (point_sample_reference, M["features"], M["points"]),
}


@pytest.mark.parametrize("case", CASES)
def test_extra_memory_is_below_twice_the_output(case):
    function, *inputs = CASES[case]
    assert extra_memory(function, *inputs) < LIMITS.get(case, 2)


def test_the_measure_sees_an_unfolded_map():
    assert extra_memory(unfolded, M["features"], M["small_kernels"]) > 8
