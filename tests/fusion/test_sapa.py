# SPDX-License-Identifier: Apache-2.0
"""SAPA against a loop over fine pixels and windows."""

import pytest
import torch

from dealias.fusion import SAPA
from dealias.testing import assert_close


def normed(vector, norm):
    centred = vector - vector.mean()
    return centred / (vector.var(correction=0) + 1e-5).sqrt() * norm.weight + norm.bias


def affine(vector, layer):
    return layer.weight @ vector + layer.bias


def query_of(fusion, fine, coarse_raw, coarse):
    if fusion.similarity == "inner":
        return fine
    if fusion.similarity == "bilinear":
        return affine(fine, fusion.query)
    if fusion.similarity == "concat":
        return affine(torch.cat([fine, coarse_raw]), fusion.query)
    gate = torch.sigmoid(affine(coarse, fusion.gate))
    return gate * affine(fine, fusion.query_hr) + (1 - gate) * affine(coarse_raw, fusion.query_lr)


@torch.no_grad()
@pytest.mark.parametrize("embed_value", [False, True])
@pytest.mark.parametrize("similarity", ["inner", "bilinear", "concat", "gated"])
def test_each_pixel_takes_from_those_it_resembles(similarity, embed_value):
    fusion = SAPA(3, 3, 3, embedding_channels=5, similarity=similarity, embed_value=embed_value).double()
    for parameter in fusion.parameters():
        parameter.add_(0.5 * torch.randn_like(parameter))
    hr, lr = torch.randn(1, 3, 4, 4, dtype=torch.float64), torch.randn(1, 3, 2, 2, dtype=torch.float64)
    expected = torch.zeros_like(hr)
    for y in range(4):
        for x in range(4):
            raw = lr[0, :, y // 2, x // 2]
            fine, coarse = normed(hr[0, :, y, x], fusion.norm_hr), normed(raw, fusion.norm_lr)
            query = query_of(fusion, fine, raw, coarse)
            scores, values = torch.zeros(9, dtype=torch.float64), torch.zeros(9, 3, dtype=torch.float64)
            for t in range(9):
                i, j = y // 2 + t // 3 - 1, x // 2 + t % 3 - 1
                if 0 <= i < 2 and 0 <= j < 2:
                    near = normed(lr[0, :, i, j], fusion.norm_lr)
                    scores[t] = query @ (near if similarity == "inner" else affine(near, fusion.key))
                    values[t] = affine(near, fusion.value) if embed_value else lr[0, :, i, j]
            expected[0, :, y, x] = scores.softmax(0) @ values
    assert_close(fusion(hr, lr)[1], expected)


@torch.no_grad()
def test_an_edge_is_upsampled_without_blur():
    """Where both maps show the same two vectors, a strong similarity copies them: no mixture at the edge."""
    one, other = torch.tensor([1.0, -1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0, -1.0])
    fusion = SAPA(4, 4, 3, similarity="inner")
    fusion.norm_hr.weight.fill_(100.0)
    columns = torch.stack([one] * 5 + [other] * 5, dim=-1)
    hr = columns[None, :, None].expand(1, 4, 10, 10)
    lr = columns[None, :, None, 1::2].expand(1, 4, 5, 5)
    assert_close(fusion(hr, lr)[1][..., 2:-2, 2:-2], hr[..., 2:-2, 2:-2])
