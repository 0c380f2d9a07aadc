# SPDX-License-Identifier: Apache-2.0
"""What every mixer promises: same shape and dtype out, any size, precision, layout and graph."""

import copy
import inspect

import pytest
import torch

from dealias.mixing import MIXERS, create_mixer, list_mixers
from dealias.testing import assert_close, assert_shape, modules

CHANNELS = 32
FORMS = [(name, released) for name in list_mixers() for released in (False, True)]


@pytest.fixture(params=FORMS, ids=lambda form: f"{form[0]}-{'released' if form[1] else 'corrected'}")
def mixer(request):
    name, released = request.param
    mixer = create_mixer(name, CHANNELS, released=released)
    for parameter in mixer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return mixer


@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (16, 24), (17, 23)], ids=str)
def test_sizes(mixer, size, batch):
    assert_shape(mixer(torch.randn(batch, CHANNELS, *size)), (batch, CHANNELS, *size))


def test_every_gradient(mixer):
    modules.check_gradients(mixer, [torch.randn(2, CHANNELS, 13, 10)])


def test_precisions(mixer):
    modules.check_precisions(mixer, [torch.randn(2, CHANNELS, 12, 15)])


def test_large_values_in_half_precision(mixer):
    x = 3e3 * torch.rand(1, CHANNELS, 64, 64).half()  # their sum overflows
    assert mixer.half()(x).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_autocast(mixer, dtype):
    x = torch.randn(2, CHANNELS, 12, 15).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = mixer(x)
    assert actual.dtype == dtype
    assert_close(actual, copy.deepcopy(mixer).double()(x.double()), torch.bfloat16)
    actual.float().sum().backward()
    assert x.grad.isfinite().all()


def test_layouts(mixer):
    modules.check_layouts(mixer, [torch.randn(2, CHANNELS, 12, 15)])


def test_state_dict_carries_everything(mixer):
    other = type(mixer)(CHANNELS, released=mixer.released)
    other.load_state_dict(mixer.state_dict(), strict=True)
    x = torch.randn(2, CHANNELS, 12, 15)
    assert torch.equal(other(x), mixer(x))
    assert not list(mixer.buffers())


def test_full_graph_compile(mixer):
    modules.check_compile(mixer, [[torch.randn(2, CHANNELS, *size)] for size in ((12, 14), (13, 9), (20, 16))])


def test_exported_graph_serves_every_size_without_complex_numbers(mixer):
    any_shape = {axis: torch.export.Dim.DYNAMIC for axis in (0, 2, 3)}
    exported = torch.export.export(mixer, (torch.randn(2, CHANNELS, 12, 16),), dynamic_shapes=(any_shape,))
    values = [node.meta.get("val") for node in exported.graph.nodes]
    assert not any(value.is_complex() for value in values if isinstance(value, torch.Tensor))
    for shape in ((3, 13, 16), (2, 20, 9), (1, 31, 27)):
        x = torch.randn(shape[0], CHANNELS, *shape[1:])
        assert_close(exported.module()(x), mixer(x))


def test_wrong_shapes(mixer):
    for shape in ((CHANNELS, 8, 8), (1, CHANNELS - 1, 8, 8), (1, 2, CHANNELS, 8, 8)):
        with pytest.raises(ValueError, match=rf"\[B, {CHANNELS}, H, W\], got \({shape[0]}, "):
            mixer(torch.zeros(shape))


def test_unknown_names_and_options():
    with pytest.raises(ValueError, match="unknown mixer 'freqmx'; known: freqmix"):
        create_mixer("freqmx", 8)
    with pytest.raises(ValueError, match="'freqmix' has no option cutof; it accepts: cutoff, reduction, released"):
        create_mixer("freqmix", 8, cutof=0.3)


@pytest.mark.parametrize("options", [{"channels": 0}, {"cutoff": -0.1}, {"cutoff": 0.51}, {"reduction": 0}], ids=str)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match="cycles per sample, got"):
        create_mixer("freqmix", **{"channels": 8, **options})


def test_every_mixer_takes_channels_first():
    assert all(next(iter(inspect.signature(method).parameters)) == "channels" for method in MIXERS.values())
