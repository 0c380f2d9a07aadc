# SPDX-License-Identifier: Apache-2.0
"""Operators written for graphs give what the operators' definitions give."""

import pytest
import torch

from dealias.export.plain_operators import plain_operators
from dealias.export.torch_operators import general_operators
from dealias.ops.cross_similarity import cross_similarity_reference
from dealias.ops.deformable_aggregation import deformable_aggregation_reference
from dealias.ops.kernel_normalize import kernel_normalize_reference
from dealias.ops.local_similarity import local_similarity_reference
from dealias.ops.point_sample import point_sample_reference
from dealias.ops.reassemble import reassemble_reference
from dealias.ops.reassemble_softmax import reassemble_softmax_reference

OPERATORS = torch.ops.dealias
TABLE = plain_operators()


def maps(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


def taps(groups, k, height, width, dtype=torch.float32):
    return maps(2, groups * k * k, height, width, dtype=dtype)


WINDOW = torch.hamming_window(3, periodic=False).outer(torch.hamming_window(3, periodic=False))
OFFSETS = maps(2, 2, 9, 2, 5, 7)
SHARES = maps(2, 2, 9, 5, 7)
POINTS = 8 * maps(2, 2, 2, 7, 6)
CASES = {
    "reassemble": (reassemble_reference, (maps(2, 4, 5, 7), taps(2, 5, 10, 14), 2, 2, 1)),
    "reassemble dilated": (reassemble_reference, (maps(2, 4, 5, 7), taps(1, 3, 5, 7), 1, 1, 2)),
    "reassemble window beyond map": (reassemble_reference, (maps(2, 4, 1, 2), taps(1, 5, 3, 6), 1, 3, 1)),
    "reassemble half": (
        reassemble_reference,
        (maps(2, 4, 5, 7, dtype=torch.float16), taps(2, 3, 5, 7, dtype=torch.float16), 2, 1, 1),
    ),
    "reassemble_softmax": (
        lambda x, logits, window, k, *rest: reassemble_softmax_reference(x, logits, k, window, *rest),
        (maps(2, 4, 5, 7), taps(1, 3, 10, 14), WINDOW, 3, 1, 2, 1, False),
    ),
    "reassemble_softmax sharpened": (
        lambda x, logits, window, k, *rest: reassemble_softmax_reference(x, logits, k, window, *rest),
        (maps(2, 4, 5, 7), taps(2, 3, 5, 7), None, 3, 2, 1, 1, True),
    ),
    "kernel_normalize": (kernel_normalize_reference, (taps(2, 3, 4, 5), 3, WINDOW)),
    "local_similarity": (local_similarity_reference, (maps(2, 9, 5, 6), 3, 2, "cosine")),
    "local_similarity dot": (local_similarity_reference, (maps(2, 3, 2, 3), 5, 1, "dot")),
    "cross_similarity": (cross_similarity_reference, (maps(2, 3, 10, 14), maps(2, 3, 5, 7), 5, 2)),
    "point_sample": (point_sample_reference, (maps(2, 4, 5, 9), POINTS)),
    "deformable_aggregation": (
        lambda x, offsets, weights, geometry, scale: deformable_aggregation_reference(
            x, offsets, weights, *geometry, scale
        ),
        (maps(2, 4, 5, 7), OFFSETS, SHARES, (3, 1, 1, 1), 1.5),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_definition(name):
    definition, arguments = CASES[name]
    operator = getattr(OPERATORS, name.partition(" ")[0]).default
    found, expected = TABLE[operator](*arguments), definition(*arguments)
    assert found.dtype == expected.dtype
    tolerance = 2e-3 if found.dtype == torch.float16 else 1e-5
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(found, operator(*arguments), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("size", "cells"), [((7, 5), (3, 2)), ((6, 4), (6, 1)), ((2, 3), (6, 6)), ((9, 8), (1, 4))])
def test_adaptive_averages_are_those_of_torch(size, cells):
    x = maps(2, 3, *size)
    found = general_operators()[torch.ops.aten.adaptive_avg_pool2d.default](x, cells)
    torch.testing.assert_close(found, torch.nn.functional.adaptive_avg_pool2d(x, cells))


def test_every_operator_that_networks_use_forward_is_there():
    names = {schema.name.removeprefix("dealias::") for schema in torch._C._jit_get_all_schemas()}
    registered = {name for name in names if hasattr(OPERATORS, name) and "::" not in name}
    forward = {name for name in registered if not name.endswith("_backward")} - {"mesh_locate"}
    assert {operator.name().removeprefix("dealias::") for operator in TABLE} == forward
    assert {name.partition(" ")[0] for name in CASES} == forward
