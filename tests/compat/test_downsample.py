# SPDX-License-Identifier: Apache-2.0
"""Published downsampling layers: what they refuse, and that they are the library's filters followed by the stride."""

import pytest
import torch

from dealias import compat, filters
from dealias.testing import assert_close


def test_they_are_filters_and_a_stride():
    x = torch.randn(2, 16, 9, 12)
    blur = filters.Blur(16, taps=4, border="replicate")
    assert_close(compat.Downsample("repl", 4, 3, 16)(x), blur(x)[..., ::3, ::3])
    pasa = compat.Downsample_PASA_group_softmax(16, 3, stride=2, group=4).eval()
    adaptive = filters.AdaptiveBlur(16, kernel_size=3, groups=4, released=True).eval()
    adaptive.load_state_dict({key.replace("bn.", "norm."): value for key, value in pasa.state_dict().items()})
    assert_close(pasa(x), adaptive(x)[..., ::2, ::2])
    assert_close(compat.FLC_Pooling(freq_thres=0.3)(x), filters.DeAliasingFilter(16, cutoff=0.3, released=True)(x))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compat.Downsample("mirror", channels=4), "pad_type must be one of reflect, .*, got 'mirror'"),
        (lambda: compat.Downsample(filt_size=8, channels=4), "1-7, got 8"),
        (lambda: compat.Downsample_PASA_group_softmax(4, 3, pad_type="same"), "'same'"),
        (lambda: compat.Downsample_PASA_group_softmax(6, 3, group=4), "groups=4"),
        (lambda: compat.FLC_Pooling(freq_thres=0.6), "got 0.6"),
    ],
)
def test_wrong_options_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
