# SPDX-License-Identifier: Apache-2.0
"""Triton kernels against the definitions, run by test_triton.py: on a GPU, or in triton's interpreter on a CPU.

The interpreter takes about 3 ms for a tap of a program. Its programs have 32 pixels and 16 channels; no shape here is a
multiple of them.
"""

import pytest
import torch

from dealias import ops
from dealias.fusion import FreqFusion
from dealias.ops._triton import interpreted
from dealias.ops.deformable_aggregation.taps import Geometry
from dealias.testing import assert_close

DEVICE = "cpu" if interpreted() else "cuda"
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}

REASSEMBLE = [  # batch, channels, height, width, kernel, groups, scale, dilation
    (2, 4, 5, 7, 3, 1, 1, 1),
    (1, 18, 3, 11, 3, 1, 2, 1),
    (1, 4, 2, 5, 5, 2, 2, 1),
    (1, 3, 7, 6, 3, 1, 2, 2),
    (1, 6, 2, 9, 1, 3, 2, 1),
    (1, 2, 3, 4, 7, 1, 1, 1),
    (1, 9, 9, 6, 3, 3, 1, 4),
    (2, 1, 1, 1, 3, 1, 2, 1),
]
SIMILARITY = [  # batch, channels, height, width, kernel, dilation, metric
    (2, 7, 5, 9, 3, 2, "cosine"),
    (1, 18, 3, 11, 3, 1, "dot"),
    (1, 3, 7, 5, 5, 2, "cosine"),
    (2, 5, 1, 1, 3, 1, "cosine"),
]
AGGREGATION = [  # shape, groups, taps, geometry: kernel, stride, padding, dilation
    ((1, 17, 6, 8), 1, 4, (2, 1, 0, 1)),
    ((1, 4, 5, 3), 2, 8, (3, 2, 1, 2)),
    ((2, 3, 2, 3), 1, 9, (3, 1, 1, 1)),
    ((1, 1, 1, 1), 1, 1, (1, 1, 0, 1)),
]


def in_both_types(cases):
    """All cases in float32, and the first two in bfloat16."""
    return [(case, torch.float32) for case in cases] + [(case, torch.bfloat16) for case in cases[:2]]


@pytest.fixture(autouse=True)
def poison():
    """Memory that nothing has been written to is nan."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def tuned_kernels():
    from triton.runtime import Autotuner

    from dealias.ops.deformable_aggregation import _triton_kernels as aggregation
    from dealias.ops.local_similarity import _triton_kernels as similarity
    from dealias.ops.reassemble import _triton_kernels as reassembly

    modules = (aggregation, reassembly, similarity)
    return [kernel for module in modules for kernel in vars(module).values() if isinstance(kernel, Autotuner)]


@pytest.fixture(autouse=True)
def use_block(monkeypatch):
    """``use_block(number)``: kernels use one of their blocks, and at first the first. To tune each would take long."""

    def use(number):
        for kernel, blocks in every.items():
            monkeypatch.setattr(kernel, "configs", [blocks[number % len(blocks)]])

    every = {kernel: kernel.configs for kernel in tuned_kernels()}
    assert len(every) == 8
    use(0)
    return use


def compare(op, inputs, dtype):
    """Values and gradients of ``op`` by Triton kernels against the reference in double precision."""
    narrow = [x.to(DEVICE, dtype).requires_grad_() for x in inputs]
    wide = [x.detach().double().requires_grad_() for x in narrow]
    with ops.use_backend("reference"):
        expected = op(*wide)
    with ops.use_backend("triton"):
        found = op(*narrow)
        cotangent = torch.randn_like(found)
        found.backward(cotangent)
    expected.backward(cotangent.double())
    assert found.dtype == dtype and found.is_contiguous()
    close(found, expected, dtype)
    for x, exact in zip(narrow, wide, strict=True):
        close(x.grad, exact.grad, dtype)


def close(found, expected, dtype):
    assert found.shape == expected.shape
    error, largest = (found.double() - expected).abs().max(), expected.abs().max()
    assert error <= TOLERANCES[dtype] * largest


@pytest.mark.parametrize(("case", "dtype"), in_both_types(REASSEMBLE))
def test_reassemble(case, dtype):
    n, c, h, w, k, groups, scale, dilation = case
    x, weight = torch.randn(n, c, h, w), torch.rand(n, groups * k * k, h * scale, w * scale) / k
    compare(lambda x, weight: ops.reassemble(x, weight, groups, scale, dilation), [x, weight], dtype)


@pytest.mark.parametrize(("dtype", "windowed"), [(torch.float32, True), (torch.bfloat16, False)])
@pytest.mark.parametrize("case", REASSEMBLE)
def test_reassemble_softmax(case, dtype, windowed):
    n, c, h, w, k, groups, scale, dilation = case
    x, logits = torch.randn(n, c, h, w), torch.randn(n, groups * k * k, h * scale, w * scale) * 2
    window = torch.rand(k, k, device=DEVICE) if windowed else None
    if windowed and k > 1:
        window[0, 0] = 0
    compare(lambda x, y: ops.reassemble_softmax(x, y, k, window, groups, scale, dilation), [x, logits], dtype)


@pytest.mark.parametrize(("dtype", "windowed"), [(torch.float32, True), (torch.bfloat16, False)])
@pytest.mark.parametrize("case", [case for case in REASSEMBLE if case[6] == 1])
def test_sharpening(case, dtype, windowed):
    n, c, h, w, k, groups, _, dilation = case
    x, logits = torch.randn(n, c, h, w), torch.randn(n, groups * k * k, h, w) * 2
    window = torch.rand(k, k, device=DEVICE) + 0.1 if windowed else None
    compare(lambda x, y: ops.reassemble_softmax(x, y, k, window, groups, 1, dilation, sharpen=True), [x, logits], dtype)


@pytest.mark.skipif(interpreted(), reason="the interpreter has one block")
@pytest.mark.parametrize("number", range(1, 4))
def test_every_block(use_block, number):
    use_block(number)
    x, logits = torch.randn(2, 70, 9, 31), torch.randn(2, 25, 18, 62)
    compare(lambda x, y: ops.reassemble_softmax(x, y, 5, scale=2), [x, logits], torch.bfloat16)
    compare(ops.local_similarity, [x], torch.float32)
    offsets, weights = torch.randn(2, 2, 9, 2, 9, 31), torch.rand(2, 2, 9, 9, 31)
    compare(ops.deformable_aggregation, [x, offsets, weights], torch.float32)


def test_very_different_logits():
    x, logits = torch.randn(1, 3, 5, 6), torch.full((1, 9, 5, 6), -1e4)
    logits[:, 3] = 1e4
    compare(lambda x, y: ops.reassemble_softmax(x, y, 3), [x, logits], torch.float32)


@pytest.mark.parametrize(("case", "dtype"), in_both_types(SIMILARITY))
def test_local_similarity(case, dtype):
    *shape, k, dilation, metric = case
    compare(lambda x: ops.local_similarity(x, k, dilation, metric), [torch.randn(shape)], dtype)


def test_similarity_of_zero_and_of_very_short_vectors():
    x = torch.randn(1, 3, 4, 5)
    x[:, :, 0, 0], x[:, :, 3, 4] = 0, 3e-9
    compare(ops.local_similarity, [x], torch.float32)


@pytest.mark.parametrize(("case", "dtype"), in_both_types(AGGREGATION))
def test_deformable_aggregation(case, dtype):
    shape, groups, taps, geometry = case
    size = tuple(Geometry(*geometry).out_size(n) for n in shape[2:])
    inputs = [
        torch.randn(shape),
        torch.randn(shape[0], groups, taps, 2, *size) * 1.5,
        torch.rand(shape[0], groups, taps, *size),
    ]
    compare(lambda x, o, w: ops.deformable_aggregation(x, o, w, *geometry, offset_scale=0.7), inputs, dtype)


def test_float16():
    x, offsets, weights = torch.randn(1, 3, 2, 3), torch.randn(1, 1, 9, 2, 2, 3), torch.rand(1, 1, 9, 2, 3)
    compare(lambda x, y: ops.reassemble_softmax(x, y, 3), [x, weights[0]], torch.float16)
    compare(ops.local_similarity, [x], torch.float16)
    compare(ops.deformable_aggregation, [x, offsets, weights], torch.float16)


def test_points_far_away_and_no_numbers_at_all_are_outside():
    x, offsets, weights = torch.randn(1, 2, 3, 4), torch.zeros(1, 1, 9, 2, 3, 4), torch.ones(1, 1, 9, 3, 4)
    offsets[0, 0, :3, 0], offsets[0, 0, 3:, 1] = 1e30, float("nan")
    x, offsets, weights = (t.to(DEVICE).requires_grad_() for t in (x, offsets, weights))
    with ops.use_backend("triton"):
        out = ops.deformable_aggregation(x, offsets, weights)
        out.sum().backward()
    assert not out.any() and not any(t.grad.any() for t in (x, offsets, weights))


def test_one_gradient_is_that_of_both():
    x, weight, cotangent = (torch.randn(1, c, 5, 6, device=DEVICE) for c in (5, 9, 5))
    backward = torch.ops.dealias.reassemble_backward
    with ops.use_backend("triton"):
        both = backward(cotangent, x, weight, 1, 1, True, True)
        assert torch.equal(backward(cotangent, x, weight, 1, 1, True, False)[0], both[0])
        assert torch.equal(backward(cotangent, x, weight, 1, 1, False, True)[1], both[1])


def test_any_layout_and_no_sample_at_all():
    x, weight = torch.randn(2, 6, 3, 5, device=DEVICE), torch.randn(2, 9, 6, 10, device=DEVICE)
    strided = [t.repeat_interleave(2, dim=3)[..., ::2] for t in (x, weight)]
    last = torch.channels_last
    with ops.use_backend("triton"):
        expected = ops.reassemble(x, weight, scale=2)
        found = ops.reassemble(x.to(memory_format=last), weight.to(memory_format=last), scale=2)
        assert torch.equal(found, expected) and torch.equal(ops.reassemble(*strided, scale=2), expected)
        assert torch.equal(ops.local_similarity(strided[0]), ops.local_similarity(x))
        assert ops.reassemble(x[:0], weight[:0], scale=2).shape == (0, 6, 6, 10)
        assert ops.local_similarity(x[:0]).shape == (0, 8, 3, 5)
        assert ops.local_similarity(x, 1).shape == (2, 0, 3, 5)


def test_freqfusion_as_a_whole(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    fusion = FreqFusion(5, 4, compressed_channels=8).to(DEVICE)
    hr, lr = torch.randn(1, 5, 5, 6, device=DEVICE), torch.randn(1, 4, 3, 3, device=DEVICE)
    with ops.use_backend("reference"), torch.no_grad():
        expected = fusion(hr, lr)
    with ops.use_backend("triton"), torch.no_grad():
        found = fusion(hr, lr)
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, theirs, torch.float32)


def test_what_does_not_fit_says_why():
    x, weight = torch.randn(1, 2, 3, 3, device=DEVICE), torch.randn(1, 9, 9, 9, device=DEVICE)
    expected = ops.reassemble(x, weight, scale=3)
    with ops.use_backend("triton"):
        with pytest.raises(ValueError, match=r"reassemble: the Triton kernels cannot run: .*scale 3"):
            ops.reassemble(x, weight, scale=3)
        with pytest.raises(ValueError, match="windows of up to 7, not 9"):
            ops.local_similarity(x, 9)
        with pytest.raises(ValueError, match="not float64"):
            ops.local_similarity(x.double())
    with ops.use_backend("torch"):
        assert torch.equal(ops.reassemble(x, weight, scale=3), expected)


@pytest.mark.skipif(not interpreted(), reason="the kernels are for this device")
def test_the_interpreter_runs_on_request_only(monkeypatch):
    monkeypatch.setattr("dealias.ops._triton.launch", None)
    x = torch.randn(1, 2, 3, 3, dtype=torch.float16)  # what the compiled kernels do not take either
    assert torch.isfinite(ops.local_similarity(x)).all()
