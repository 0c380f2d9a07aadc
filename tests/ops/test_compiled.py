# SPDX-License-Identifier: Apache-2.0
"""Compiled CPU kernels against the definitions: shapes of every kind, types, layouts, threads; building and loading."""

import pytest
import torch

from dealias import kernels, ops
from dealias.cli import main
from dealias.kernels import library
from dealias.ops.deformable_aggregation.taps import Geometry
from dealias.testing import assert_close

active = pytest.mark.skipif(not kernels.kernel_status().active, reason=kernels.kernel_status().reason)

REASSEMBLE = [  # batch, channels, height, width, kernel, groups, scale, dilation
    (2, 4, 5, 7, 3, 1, 1, 1),
    (1, 66, 4, 3, 5, 2, 2, 1),
    (2, 35, 6, 37, 5, 1, 2, 1),
    (1, 4, 2, 9, 1, 2, 2, 1),
    (1, 2, 3, 4, 7, 1, 1, 1),
    (1, 9, 21, 50, 3, 3, 1, 4),
    (3, 1, 1, 1, 3, 1, 2, 1),
]
SIMILARITY = [  # batch, channels, height, width, kernel, dilation, metric
    (2, 7, 5, 9, 3, 2, "cosine"),
    (1, 12, 33, 50, 3, 1, "dot"),
    (1, 8, 20, 37, 5, 2, "cosine"),
    (1, 3, 1, 1, 3, 2, "cosine"),
    (2, 4, 9, 3, 7, 4, "cosine"),
]
TYPES = [torch.float32, torch.bfloat16]


LAST = torch.channels_last


@pytest.fixture(
    params=[(1, torch.contiguous_format), (3, torch.contiguous_format), (1, LAST), (3, LAST)],
    ids=["1 thread", "3 threads", "1 thread, channels last", "3 threads, channels last"],
)
def layout(request):
    """A memory format, with some number of threads."""
    before = torch.get_num_threads()
    threads, memory_format = request.param
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)  # fills memory that nothing has been written to with nan
    yield memory_format
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(before)


def compare(op, inputs, dtype, layout=torch.contiguous_format):
    """Values and gradients of ``op`` by compiled kernels against the reference in double precision."""
    narrow = [x.to(dtype) for x in inputs]
    narrow[0] = narrow[0].contiguous(memory_format=layout)
    narrow = [x.requires_grad_() for x in narrow]
    wide = [x.detach().double().requires_grad_() for x in narrow]
    with ops.use_backend("reference"):
        expected = op(*wide)
    with ops.use_backend("cpu"):
        found = op(*narrow)
        cotangent = torch.randn_like(found)
        found.backward(cotangent)
    expected.backward(cotangent.double())
    is_last = layout == LAST and not narrow[0].is_contiguous()
    assert found.dtype == dtype and found.is_contiguous(memory_format=LAST if is_last else torch.contiguous_format)
    assert_close(found.double(), expected, dtype)
    for x, exact in zip(narrow, wide, strict=True):
        assert_close(x.grad.double(), exact.grad, dtype)


@active
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("case", REASSEMBLE)
def test_reassemble(case, dtype, layout):
    n, c, h, w, k, groups, scale, dilation = case
    x, weight = torch.randn(n, c, h, w), torch.rand(n, groups * k * k, h * scale, w * scale) / k
    compare(lambda x, weight: ops.reassemble(x, weight, groups, scale, dilation), [x, weight], dtype, layout)


@active
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("case", [case for case in REASSEMBLE if case[6] == 1])
def test_sharpening(case, dtype, layout):
    n, c, h, w, k, groups, _, dilation = case
    x, logits, window = torch.randn(n, c, h, w), torch.randn(n, groups * k * k, h, w), torch.rand(k, k) + 0.1

    def sharpened(x, logits):
        return ops.reassemble_softmax(x, logits, k, window, groups, dilation=dilation, sharpen=True)

    compare(sharpened, [x, logits], dtype, layout)


@active
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("case", SIMILARITY)
def test_local_similarity(case, dtype, layout):
    *shape, k, dilation, metric = case
    x = torch.randn(shape)
    compare(lambda x: ops.local_similarity(x, k, dilation, metric), [x], dtype, layout)


@active
def test_similarity_of_zero_and_of_very_short_vectors(layout):
    x = torch.randn(1, 3, 4, 5)
    x[:, :, 0, 0], x[:, :, 3, 4] = 0, 1e-12
    compare(ops.local_similarity, [x], torch.float32, layout)


@active
def test_any_layout_and_no_sample_at_all():
    x, weight = torch.randn(2, 6, 5, 7), torch.randn(2, 25, 10, 14)
    strided = [t.repeat_interleave(2, dim=3)[..., ::2] for t in (x, weight)]
    with ops.use_backend("cpu"):
        expected = ops.reassemble(x, weight, scale=2)
        last = torch.channels_last
        found = ops.reassemble(x.to(memory_format=last), weight.to(memory_format=last), scale=2)
        assert torch.equal(found, expected) and torch.equal(ops.reassemble(*strided, scale=2), expected)
        assert ops.reassemble(x[:0], weight[:0], scale=2).shape == (0, 6, 10, 14)
        assert torch.equal(ops.local_similarity(strided[0]), ops.local_similarity(x))
        assert ops.local_similarity(x[:0]).shape == (0, 8, 5, 7)


@active
def test_one_gradient_is_that_of_both():
    x, weight = torch.randn(1, 5, 9, 6), torch.randn(1, 9, 9, 6)
    cotangent = torch.randn(1, 5, 9, 6)
    backward = torch.ops.dealias.reassemble_backward
    with ops.use_backend("cpu"):
        both = backward(cotangent, x, weight, 1, 1, True, True)
        assert torch.equal(backward(cotangent, x, weight, 1, 1, True, False)[0], both[0])
        assert torch.equal(backward(cotangent, x, weight, 1, 1, False, True)[1], both[1])


@active
def test_what_does_not_fit_runs_in_torch_or_says_why():
    x, weight = torch.randn(1, 2, 3, 3, dtype=torch.float64), torch.randn(1, 9, 9, 9, dtype=torch.float64)
    expected = ops.reassemble(x, weight, scale=3)
    with ops.use_backend("cpu"):
        with pytest.raises(ValueError, match=r"reassemble: .* cannot run: .*scale 3"):
            ops.reassemble(x, weight, scale=3)
        with pytest.raises(ValueError, match="not float64"):
            ops.local_similarity(x)
    with ops.use_backend("torch"):
        assert torch.equal(ops.reassemble(x, weight, scale=3), expected)


def test_backend_by_name():
    assert ops.current_backend() == "auto"
    with ops.use_backend("reference"), ops.use_backend("torch"):
        assert ops.current_backend() == "torch"
    assert ops.current_backend() == "auto"
    with pytest.raises(ValueError, match="unknown backend 'gpu'; known: auto, "):
        ops.use_backend("gpu")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of its own."""
    monkeypatch.setenv("DEALIAS_CACHE", str(tmp_path))
    library.forget_kernels()
    yield tmp_path
    library.forget_kernels()


@active
def test_built_on_request_and_found_again(cache, capsys):
    assert main(["kernels", "status"]) == 1 and "dealias kernels build" in capsys.readouterr().out
    with pytest.raises(ValueError, match="cannot run: not built"):
        ops.use_backend("cpu")
    assert main(["kernels", "build"]) == 0 and ": active" in capsys.readouterr().out
    assert [path.name for path in cache.iterdir()] == [kernels.kernel_status().path.name]
    with ops.use_backend("cpu"):
        compare(ops.local_similarity, [torch.randn(1, 2, 3, 3)], torch.float32)


@pytest.mark.parametrize("content", [b"", b"not a library"])
def test_a_broken_library_is_not_used(cache, content):
    path = kernels.kernel_status().path
    library.forget_kernels()
    path.write_bytes(content)
    status = kernels.kernel_status()
    assert not status.active and "cannot be loaded" in status.reason
    assert torch.isfinite(ops.local_similarity(torch.randn(1, 2, 3, 3))).all()


@active
def test_a_library_for_something_else_is_not_used(cache, monkeypatch):
    path = kernels.build_kernels()
    monkeypatch.setattr(library, "library_key", lambda: "another")
    library.forget_kernels()
    assert kernels.kernel_status().path == path and "was built for something else" in kernels.kernel_status().reason


@pytest.mark.parametrize("compiler", ["/does/not/exist", "false"])
def test_a_failing_compiler_is_named_and_leaves_nothing(cache, monkeypatch, compiler, capsys):
    monkeypatch.setenv("CXX", compiler)
    assert main(["kernels", "build"]) == 2 and compiler in capsys.readouterr().err
    assert main(["kernels", "build", "--optional"]) == 0 and "No compiled kernels" in capsys.readouterr().out
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_no_error_where_kernels_are_optional(cache, monkeypatch, capsys):
    (cache / "file").write_text("")
    monkeypatch.setenv("DEALIAS_CACHE", str(cache / "file" / "folder"))
    assert main(["kernels", "build", "--optional"]) == 0 and "No compiled kernels" in capsys.readouterr().out
    assert main(["kernels", "build"]) == 2


@active
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("shape", "groups", "size"), [((2, 6, 5, 7), 3, (9, 4)), ((1, 40, 1, 1), 1, (3, 37)), ((1, 1, 8, 3), 1, (1, 1))]
)
def test_point_sample(shape, groups, size, dtype, layout):
    x = torch.randn(shape).to(dtype).contiguous(memory_format=layout)
    points = torch.randn(shape[0], groups, 2, *size) * 3 + 2  # inside, outside and on the limits
    points[..., 0, 0] = 0
    inputs = [x.requires_grad_(), points.requires_grad_()]
    exact = [t.detach().double().requires_grad_() for t in inputs]
    with ops.use_backend("reference"):
        expected = ops.point_sample(*exact)
    with ops.use_backend("cpu"):
        found = ops.point_sample(*inputs)
        cotangent = torch.randn_like(found)
        found.backward(cotangent)
    expected.backward(cotangent.double())
    assert_close(found, expected)
    assert_close(x.grad, exact[0].grad, dtype)
    assert_close(points.grad, exact[1].grad, dtype)


@active
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("shape", "groups", "taps", "geometry"),
    [((2, 6, 5, 7), 3, 9, (3, 1, 1, 1)), ((1, 20, 6, 9), 1, 8, (3, 2, 1, 2)), ((1, 4, 3, 4), 2, 4, (2, 1, 0, 1))],
)
def test_deformable_aggregation(shape, groups, taps, geometry, dtype, layout):
    size = tuple(Geometry(*geometry).out_size(n) for n in shape[2:])
    inputs = [
        torch.randn(shape),
        torch.randn(shape[0], groups, taps, 2, *size) * 1.5,
        torch.rand(shape[0], groups, taps, *size),
    ]
    compare(lambda x, o, w: ops.deformable_aggregation(x, o, w, *geometry, offset_scale=0.7), inputs, dtype, layout)
