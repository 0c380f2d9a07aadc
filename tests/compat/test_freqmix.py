# SPDX-License-Identifier: Apache-2.0
"""FreqMix under its published names: the same module, other names."""

import copy
import io

import pytest
import torch

from dealias import compat
from dealias.mixing import FreqMix


@pytest.mark.parametrize("released", [False, True], ids=["corrected", "released"])
def test_equals_the_native_module(released):
    torch.manual_seed(0)
    published = compat.FrequencyMix(32, released=released)
    torch.manual_seed(0)
    native = FreqMix(32, released=released)
    x = torch.randn(3, 32, 13, 10)
    assert torch.equal(published(x), native(x))


def test_is_published_by_default():
    assert compat.FrequencyMix(32).released
    assert compat.NyBottleneck(64, 32).att.released


def test_saving_copying_and_converting_keep_the_module_whole():
    m, x = compat.FrequencyMix(32, act="softmax", spatial_group=2), torch.randn(2, 32, 9, 8)
    expected = m(x)
    file = io.BytesIO()
    torch.save(m, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)  # a whole module, written just above
    for other in (copy.deepcopy(m), loaded, copy.deepcopy(m).double().float()):
        assert torch.equal(other(x), expected)


def test_the_first_stages_bottleneck_has_no_mixer():
    block = compat.NyBottleneck(256, 64).eval()
    assert not any(key.startswith("att") for key in block.state_dict())
    assert block(torch.randn(1, 256, 7, 9)).shape == (1, 256, 7, 9)


@pytest.mark.parametrize(
    "wrong", [{"fs_feat": "img"}, {"lp_type": "freq"}, {"act": "tanh"}, {"spatial": "cbam"}, {"k_list": []}], ids=str
)
def test_what_the_published_code_does_not_run_with_is_refused(wrong):
    with pytest.raises(ValueError, match=f"got .*{next(iter(wrong))}="):
        compat.FrequencyMix(32, **wrong)
