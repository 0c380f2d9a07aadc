# SPDX-License-Identifier: Apache-2.0
"""The ideal low-pass against explicit sums over the kept frequencies, and the matrices it is made of."""

import cmath
import math
from fractions import Fraction

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from dealias.ops import low_pass
from dealias.ops.spectrum import equivalent_sampling_rate, kept_band, low_pass_reference, op, projection
from dealias.ops.spectrum.band import traced_band
from dealias.ops.spectrum.projection import _cached
from dealias.testing import assert_close, check_op

SHAPES = [(1, 1), (1, 6), (5, 1), (2, 3), (4, 6), (7, 5), (10, 3)]
CUTOFFS = ["0", "0.1", "0.25", "0.3", "0.35", "1/3", "0.5"]
BOTH_MASKS = pytest.mark.parametrize("released", [False, True], ids=["symmetric", "released"])


def kept(size, cutoff, released):
    """The kept frequencies, cycles per axis, in exact numbers or by the published rule."""
    every = range(-(size // 2), size - size // 2)
    if not released:
        return [k for k in every if abs(Fraction(k, size)) <= Fraction(cutoff)]
    f = float(Fraction(cutoff))
    return list(every)[round(size / 2 - size * f) : round(size / 2 + size * f)]


def loop(x, cutoff, released):
    """The real part of the Fourier sum over the kept frequencies of one map [H, W]."""
    h, w = x.shape
    out = torch.zeros_like(x)
    for ky in kept(h, cutoff, released):
        for kx in kept(w, cutoff, released):
            waves = [[cmath.exp(2j * math.pi * (ky * a / h + kx * b / w)) for b in range(w)] for a in range(h)]
            coefficient = sum(float(x[a, b]) * waves[a][b].conjugate() for a in range(h) for b in range(w)) / (h * w)
            out += torch.tensor([[(coefficient * wave).real for wave in row] for row in waves], dtype=x.dtype)
    return out


@BOTH_MASKS
@pytest.mark.parametrize("cutoff", CUTOFFS)
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_definition(shape, cutoff, released):
    x = torch.randn(1, 2, *shape, dtype=torch.float64)
    expected = torch.stack([loop(channel, cutoff, released) for channel in x[0]])[None]
    for method in (low_pass, low_pass_reference):
        for dtype in (torch.float64, torch.float32):
            error = (method(x.to(dtype), float(Fraction(cutoff)), released) - expected).abs().max().item()
            assert error <= (1e-12 if dtype == torch.float64 else 2e-6), f"{method.__name__}, {dtype}: {error}"


@BOTH_MASKS
@pytest.mark.parametrize("shape", [(97, 64), (180, 33)])
def test_larger_maps_and_the_transform_of_the_largest(shape, released, monkeypatch):
    x = torch.randn(2, 3, *shape, dtype=torch.float64, requires_grad=True)
    expected = low_pass_reference(x, 0.35, released)
    cotangent = torch.randn_like(x)
    (gradient,) = torch.autograd.grad(expected, x, cotangent)
    for limit in (op.DENSE_LIMIT, 8):
        monkeypatch.setattr(op, "DENSE_LIMIT", limit)
        out = low_pass(x, 0.35, released)
        assert_close(out, expected)
        assert_close(torch.autograd.grad(out, x, cotangent)[0], gradient)


@BOTH_MASKS
@pytest.mark.parametrize("shape", [(2, 2, 6, 5), (1, 3, 4, 8), (1, 1, 1, 1)])
def test_gradients_equal_the_reference(shape, released):
    check_op(low_pass, low_pass_reference, [torch.randn(shape), 0.35, released])


def test_projects_and_is_its_own_adjoint():
    x, y = torch.randn(2, 1, 2, 12, 9, dtype=torch.float64)
    once = low_pass(x, 0.3)
    assert_close(low_pass(once, 0.3), once)
    assert_close((once * y).sum(), (x * low_pass(y, 0.3)).sum())


def test_a_frequency_at_the_cutoff_is_kept_however_it_was_rounded():
    for size in range(1, 300):
        for k in range(size // 2 + 1):
            first, count = kept_band(size, k / size)
            assert -first == k and count == min(2 * k + 1, size), f"{k}/{size}"
            assert k == 0 or kept_band(size, k / size - 1e-6)[1] == 2 * k - 1, f"below {k}/{size}"


@BOTH_MASKS
def test_one_graph_serves_every_size(released):
    torch.compiler.reset()
    compiled = torch.compile(low_pass, fullgraph=True, dynamic=True, backend="aot_eager")
    for size in ((12, 14), (30, 10), (13, 15)):
        x = torch.randn(2, 3, *size, requires_grad=True)
        actual, expected = compiled(x, 0.35, released), low_pass_reference(x, 0.35, released)
        assert_close(actual, expected)
        assert_close(*(torch.autograd.grad(out.square().sum(), x)[0] for out in (actual, expected)))


class Filter(torch.nn.Module):
    def __init__(self, released):
        super().__init__()
        self.released = released

    def forward(self, x):
        return low_pass(x, 0.35, self.released)


@BOTH_MASKS
@pytest.mark.parametrize("strict", [False, True], ids=["loose", "strict"])
def test_exported_graph_is_real_and_serves_every_size(released, strict):
    shapes = {"x": dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)}
    program = torch.export.export(Filter(released), (torch.randn(2, 3, 12, 14),), dynamic_shapes=shapes, strict=strict)
    assert not any("fft" in str(node.target) or "complex" in str(node.target) for node in program.graph.nodes)
    for size in ((12, 14), (30, 10), (13, 15), (2, 3)):
        x = torch.randn(3, 3, *size)
        assert_close(program.module()(x), low_pass_reference(x, 0.35, released))


def test_memory_format_of_maps_too_large_for_matrices():
    x = torch.randn(1, 3, 4, op.DENSE_LIMIT + 1)
    channels_last = low_pass(x.to(memory_format=torch.channels_last), 0.3)
    assert channels_last.is_contiguous(memory_format=torch.channels_last)
    assert low_pass(x, 0.3).is_contiguous()
    assert_close(channels_last, low_pass(x, 0.3))


@BOTH_MASKS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_layouts_and_empty_batches(dtype, released):
    x = torch.randn(2, 5, 12, 9).to(dtype)
    out = low_pass(x, 0.3, released)
    assert out.dtype == dtype
    exact = low_pass(x.double(), 0.3, released)
    assert_close(out, exact)
    channels_last = low_pass(x.to(memory_format=torch.channels_last), 0.3, released)
    assert channels_last.is_contiguous(memory_format=torch.channels_last)
    for other in (channels_last, low_pass(x.repeat_interleave(2, 3)[..., ::2], 0.3, released)):
        assert_close(other, out)
    assert low_pass(x[:0], 0.3, released).shape == (0, 5, 12, 9)
    assert low_pass(x.to("meta"), 0.3, released).shape == x.shape
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(low_pass(x, 0.3, released), out)
        assert_close(low_pass(x.float(), 0.3, released), exact, torch.float32)


def test_matrices_are_shared_and_bounded_and_never_tied_to_how_they_were_first_used():
    _cached.cache_clear()
    x = torch.randn(1, 2, 10, 12)
    with FakeTensorMode() as mode:
        assert low_pass(mode.from_tensor(x), 0.35, True).shape == x.shape
    assert _cached.cache_info().currsize == 0
    with torch.inference_mode():
        low_pass(x, 0.35, True)
    assert _cached.cache_info().currsize == 2 and _cached.cache_info().maxsize is not None
    torch.func.grad(lambda z: low_pass(z, 0.35, True).square().sum())(x)
    low_pass(x.requires_grad_(), 0.35, True).sum().backward()
    assert x.grad is not None and projection(10, 0.35, True).real is projection(10, 0.35, True).real


@BOTH_MASKS
@pytest.mark.parametrize("size", [1, 2, 9, 12])
def test_projection_rows_are_sums_over_the_masked_spectrum(size, released):
    x = torch.randn(size, dtype=torch.float64)
    axis = projection(size, 0.35, released, dtype=torch.float64)
    imaginary = torch.zeros_like(axis.real) if axis.imaginary is None else axis.imaginary
    matrix = torch.complex(axis.real, imaginary)
    assert torch.allclose(torch.complex(*axis.first_row), matrix[0], rtol=0, atol=1e-15)
    spectrum, places = torch.fft.fft(x), torch.arange(size, dtype=torch.float64)
    waves = {k: torch.exp(2j * math.pi * k * places / size) for k in kept(size, "0.35", released)}
    expected = sum(spectrum[k % size] * wave for k, wave in waves.items()) / size
    assert torch.allclose(matrix @ x.to(matrix.dtype), expected, rtol=0, atol=1e-12)
    assert torch.allclose(matrix @ matrix, matrix, rtol=0, atol=1e-12)


def test_equivalent_sampling_rate():
    assert equivalent_sampling_rate() == pytest.approx(math.sqrt(2) / 2)
    assert equivalent_sampling_rate(1, 2, 64, 128) == 0.5  # a 1x1 kernel sees one sample
    assert equivalent_sampling_rate(7, 2, 3, 64) == pytest.approx(math.sqrt(64 / 3) / 2)
    assert equivalent_sampling_rate(2, 4, 10, 10) == 0.25
    with pytest.raises(ValueError, match="stride=0"):
        equivalent_sampling_rate(3, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: low_pass(torch.zeros(3, 4, 4), 0.3), "B, C, H, W"),
        (lambda: low_pass(torch.zeros(1, 3, 4, 4, dtype=torch.int64), 0.3), "int64"),
        (lambda: low_pass(torch.zeros(1, 3, 0, 4), 0.3), r"\(1, 3, 0, 4\)"),
        (lambda: low_pass(torch.zeros(1, 3, 4, 4), 0.51), "0.51"),
        (lambda: low_pass(torch.zeros(1, 3, 4, 4), -0.1), "0-0.5"),
        (lambda: projection(0, 0.3), "size must be at least 1, got 0"),
        (lambda: projection(4, float("nan")), "nan"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("released", [False, True])
def test_band_inside_a_graph_is_the_same(released):
    for cutoff in (0.0, 0.1, 0.25, 1 / 3, 0.35, 2**0.5 / 4, 0.5):
        for size in range(1, 130):
            traced = tuple(int(value) for value in traced_band(size, cutoff, released))
            assert traced == kept_band(size, cutoff, released)
