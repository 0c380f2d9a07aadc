# SPDX-License-Identifier: Apache-2.0
"""Reassembly by normalised kernels against its two definitions, one after the other."""

import pytest
import torch

from dealias import ops
from dealias.ops import kernel_normalize, reassemble, reassemble_softmax
from dealias.ops.reassemble_softmax import reassemble_softmax_reference
from dealias.testing import assert_close, check_op

CASES = [  # batch, channels, height, width, kernel, groups, scale, dilation
    (2, 4, 5, 7, 3, 1, 1, 1),
    (1, 6, 4, 3, 5, 2, 2, 1),
    (1, 3, 2, 2, 3, 3, 3, 1),
    (1, 2, 1, 1, 5, 1, 2, 1),
    (1, 2, 3, 9, 3, 1, 1, 4),
]


def sample(case, dtype=torch.float64):
    n, c, h, w, k, groups, scale, dilation = case
    x = torch.randn(n, c, h, w, dtype=dtype)
    logits = torch.randn(n, groups * k * k, h * scale, w * scale, dtype=dtype)
    return x, logits, k, torch.rand(k, k) + 0.1, groups, scale, dilation


@pytest.mark.parametrize("case", CASES)
def test_equals_the_two_steps(case):
    x, logits, k, window, groups, scale, dilation = inputs = sample(case)
    for given in (window, None):
        expected = reassemble(x, kernel_normalize(logits, k, given), groups, scale, dilation)
        assert_close(reassemble_softmax(x, logits, k, given, groups, scale, dilation), expected)
    assert_close(reassemble_softmax_reference(*inputs), reassemble_softmax(*inputs))


@pytest.mark.parametrize("case", CASES[:3])
def test_gradients_equal_the_reference(case):
    inputs = sample(case)

    def given(op):
        return lambda x, logits: op(x, logits, *inputs[2:])

    check_op(given(reassemble_softmax), given(reassemble_softmax_reference), list(inputs[:2]))


@pytest.mark.parametrize("case", [case for case in CASES if case[6] == 1])
def test_sharpening_is_twice_the_map_minus_the_sum(case):
    x, *options = inputs = sample(case)
    assert_close(reassemble_softmax(*inputs, sharpen=True), 2 * x - reassemble_softmax_reference(*inputs))

    def sharpened(op):
        return lambda x, logits: op(x, logits, *options[1:], sharpen=True)

    check_op(sharpened(reassemble_softmax), sharpened(reassemble_softmax_reference), list(inputs[:2]))


def test_only_at_its_own_size_is_a_map_sharpened():
    with pytest.raises(ValueError, match=r"scale 1 .* got scale 2"):
        reassemble_softmax(torch.zeros(1, 3, 2, 2), torch.zeros(1, 9, 4, 4), 3, scale=2, sharpen=True)


@pytest.mark.parametrize("backend", ["reference", "torch", "auto"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", [CASES[0], CASES[1], (2, 35, 6, 37, 5, 1, 2, 1)])
def test_every_backend_gives_the_same(case, dtype, backend):
    """``auto`` are the compiled kernels where they are built."""
    exact = sample(case)
    x, logits = (t.to(dtype).requires_grad_() for t in exact[:2])
    wide = [t.detach().double().requires_grad_() for t in (x, logits)]
    expected = reassemble_softmax_reference(*wide, *exact[2:])
    with ops.use_backend(backend):
        found = reassemble_softmax(x, logits, *exact[2:])
        cotangent = torch.randn_like(found)
        found.backward(cotangent)
    expected.backward(cotangent.double())
    assert_close(found, expected)
    for narrow, reference in zip((x, logits), wide, strict=True):
        assert_close(narrow.grad, reference.grad)


def test_one_tap_alone_and_very_different_logits():
    x, logits = torch.randn(1, 3, 5, 6), torch.full((1, 9, 5, 6), -1e4)
    logits[:, 3] = 1e4  # the left neighbour
    expected = torch.nn.functional.pad(x, (1, 0))[..., :6]
    assert_close(reassemble_softmax(x, logits, 3), expected)
    window = torch.zeros(3, 3)
    window[1, 0] = 1
    assert_close(reassemble_softmax(x, torch.randn(1, 9, 5, 6), 3, window), expected)


def test_operator_is_registered_in_full():
    x, logits, k, window, *others = sample(CASES[1], torch.float32)
    arguments = (x.requires_grad_(), logits.requires_grad_(), window, k, *others)
    torch.library.opcheck(torch.ops.dealias.reassemble_softmax.default, arguments)
    last = (x.detach().to(memory_format=torch.channels_last).requires_grad_(), *arguments[1:])
    torch.library.opcheck(torch.ops.dealias.reassemble_softmax.default, last)
    cotangent = torch.randn_like(reassemble_softmax(x, logits, k, window, *others))
    for need in ((True, True), (False, True), (True, False)):
        given = (cotangent, x.detach(), logits.detach(), window, k, *others, False, *need)
        torch.library.opcheck(torch.ops.dealias.reassemble_softmax_backward.default, given)


def test_autocast_computes_in_float32():
    x, logits = torch.randn(1, 4, 4, 4), torch.randn(1, 9, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert reassemble_softmax(x.bfloat16(), logits, 3).dtype == torch.float32


@pytest.mark.parametrize(
    ("channels", "k", "groups", "said"),
    [
        (9, 2, 1, "odd kernel_size"),
        (18, 3, 1, "got 18 for 1 groups"),
        (225, 3, 1, "must have 1 x 3.*got 225"),
        (9, 3, 2, "groups"),
        (25, 3, 1, "multiple"),
    ],
)
def test_wrong_shapes_are_named(channels, k, groups, said):
    with pytest.raises(ValueError, match=said):
        reassemble_softmax(torch.zeros(1, 3, 4, 4), torch.zeros(1, channels, 4, 4), k, groups=groups)
