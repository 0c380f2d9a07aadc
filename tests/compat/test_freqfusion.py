# SPDX-License-Identifier: Apache-2.0
"""The published interface: an import line changes, nothing else."""

import copy
import io

import pytest
import torch

from dealias import compat
from dealias.fusion import FreqFusion
from dealias.testing import assert_close


def test_the_published_snippet():
    from dealias.compat import FreqFusion

    hr_feat, lr_feat = torch.rand(1, 64, 32, 32), torch.rand(1, 64, 16, 16)
    m = FreqFusion(hr_channels=64, lr_channels=64)
    _, hr_feat, lr_feat = m(hr_feat=hr_feat, lr_feat=lr_feat)
    assert hr_feat.shape == lr_feat.shape == (1, 64, 32, 32)


def test_parts_have_published_names_and_their_own():
    m = compat.FreqFusion(16, 8, compressed_channels=8, feature_resample=True)
    assert m.content_encoder2 is m.highpass_encoder and m.dysampler is m.sampler
    assert "dysampler.init_pos" in m.state_dict() and "hamming_lowpass" in m.state_dict()
    assert not any(name.startswith(("sampler", "lowpass")) for name, _ in m.named_parameters())


def test_equals_the_native_module():
    torch.manual_seed(0)
    published = compat.FreqFusion(16, 8, compressed_channels=8, feature_resample=True).eval()
    torch.manual_seed(0)
    native = FreqFusion(16, 8, compressed_channels=8).eval()
    hr, lr = torch.randn(1, 16, 13, 18), torch.randn(1, 8, 7, 9)
    for actual, expected in zip(published(hr, lr)[1:], native(hr, lr), strict=True):
        assert torch.equal(actual, expected)


def test_saving_copying_and_converting_keep_the_module_whole():
    m = compat.FreqFusion(16, 8, compressed_channels=8, feature_resample=True).eval()
    inputs = torch.randn(1, 16, 12, 18), torch.randn(1, 8, 6, 9)
    expected = m(*inputs)
    file = io.BytesIO()
    torch.save(m, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)  # a whole module, written just above
    for other in (copy.deepcopy(m), loaded, copy.deepcopy(m).double().float()):
        for actual, e in zip(other(*inputs), expected, strict=True):
            assert torch.equal(actual, e)


def test_checkpointing_changes_no_gradient():
    m = compat.FreqFusion(16, 8, compressed_channels=8, feature_resample=True).double()
    hr, lr = (torch.randn(1, c, s, s, dtype=torch.float64, requires_grad=True) for c, s in ((16, 12), (8, 6)))
    grads = [
        torch.autograd.grad(sum(o.square().sum() for o in m(hr, lr, use_checkpoint=use)), [hr, lr, *m.parameters()])
        for use in (False, True)
    ]
    for plain, recomputed in zip(*grads, strict=True):
        assert_close(recomputed, plain)


def test_full_graph_compile():
    m = compat.FreqFusion(16, 8, compressed_channels=8, feature_resample=True).eval()
    inputs = torch.randn(1, 16, 12, 18), torch.randn(1, 8, 6, 9)
    compiled = torch.compile(m, fullgraph=True, backend="aot_eager")
    for actual, expected in zip(compiled(*inputs), m(*inputs), strict=True):
        assert_close(actual, expected)


def test_unknown_arguments_are_errors():
    with pytest.raises(TypeError, match="lowpass"):
        compat.FreqFusion(16, 8, lowpass=5)
    with pytest.raises(ValueError, match="scale_factor must be 1, got 2"):
        compat.FreqFusion(16, 8, scale_factor=2)
    with pytest.raises(ValueError, match="need 9 mask channels, got 25"):
        compat.carafe(torch.zeros(1, 4, 3, 3), torch.zeros(1, 25, 3, 3), 3, 1, 1)
    with pytest.raises(ValueError, match="'cosine'"):
        compat.compute_similarity(torch.zeros(1, 4, 3, 3), sim="cosine")
