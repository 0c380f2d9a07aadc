# SPDX-License-Identifier: Apache-2.0
"""Triton kernels: in triton's interpreter, in a process of its own; on a GPU; compiled for one that is not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dealias import ops
from dealias.ops import _triton
from dealias.ops.deformable_aggregation import _triton as aggregation
from dealias.ops.deformable_aggregation.taps import Geometry
from dealias.ops.local_similarity import _triton as similarity
from dealias.ops.reassemble import _triton as reassembly

CASES = Path(__file__).with_name("triton_cases.py")
TYPE_NAMES = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}


def run_cases(**environment):
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", str(CASES)]
    rest = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(command, capture_output=True, text=True, env={**rest, **environment})
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_in_the_interpreter():
    pytest.importorskip("triton")
    run_cases(TRITON_INTERPRET="1", OMP_NUM_THREADS="1")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_the_device():
    run_cases()


def compile_only(kernel, grid, *arguments, **constants):
    """Compile for a GPU what a launch would, with its types and what is known of its numbers: 1 and None."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    if not isinstance(grid, tuple):
        kernel, config = kernel.fn, kernel.configs[0]
        constants |= config.kwargs
        grid = grid(config.kwargs)
    assert len(grid) > 1 and min(grid) > 0
    values = dict(zip(kernel.arg_names, arguments, strict=False)) | constants
    types = {name: type_name(value) if name not in constants else "constexpr" for name, value in values.items()}
    fixed = {name: values[name] for name, kind in types.items() if kind == "constexpr"}
    compile(ASTSource(kernel, types, fixed), target=GPUTarget("cuda", 90, 32))


def type_name(value):
    if isinstance(value, torch.Tensor):
        return TYPE_NAMES[value.dtype]
    if isinstance(value, float):
        return "fp32"
    return "constexpr" if value in (None, 1) else "i32"


@pytest.fixture
def compiling(monkeypatch):
    """Launches compile instead, for compute capability 9.0."""
    pytest.importorskip("triton")
    if _triton.interpreted():
        pytest.skip("the interpreter compiles nothing")
    monkeypatch.setattr(_triton, "launch", compile_only)


SHAPES = [((2, 6, 5, 7), torch.bfloat16), ((1, 1, 1, 1), torch.float32)]


@pytest.mark.parametrize(("shape", "dtype"), SHAPES)
def test_reassembly_compiles(compiling, shape, dtype):
    n, c, h, w = shape
    x, weight = torch.ones(shape, dtype=dtype), torch.ones(n, 9, 2 * h, 2 * w, dtype=dtype)
    log_window = torch.zeros(9) if c > 1 else None
    out = reassembly.forward(x, weight, 1, 2, 1, log_window)
    reassembly.backward(out, x, weight, 1, 2, True, True, 1, log_window)


@pytest.mark.parametrize(("shape", "dtype"), SHAPES)
def test_similarity_compiles(compiling, shape, dtype):
    x, metric = torch.ones(shape, dtype=dtype), "cosine" if shape[1] > 1 else "dot"
    out = similarity.forward(x, 3, 2, metric)
    similarity.backward(out, x, 3, 2, metric)


@pytest.mark.parametrize(("shape", "dtype"), SHAPES)
def test_aggregation_compiles(compiling, shape, dtype):
    n, c, h, w = shape
    taps = 8 if c > 1 else 9
    x, weights = torch.ones(shape, dtype=dtype), torch.ones(n, 1, taps, h, w, dtype=dtype)
    offsets, geometry = weights[:, :, :, None].repeat(1, 1, 1, 2, 1, 1), Geometry(3, 1, 1, 1)
    out = aggregation.forward(x, offsets, weights, geometry, 1.0)
    aggregation.backward(out, x, offsets, weights, geometry, 1.0, [True, True, c > 1])


@pytest.mark.skipif(_triton.unavailable() is None, reason="Triton kernels run here")
def test_forced_where_it_cannot_run_says_why():
    with pytest.raises(ValueError, match=f"the Triton kernels cannot run: {_triton.unavailable()}"):
        ops.use_backend("triton")
    assert ops.current_backend() == "auto"
