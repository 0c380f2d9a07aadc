# SPDX-License-Identifier: Apache-2.0
"""DCNv3 against sums written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dealias.backbones import DCNv3
from dealias.ops.deformable_aggregation import deformable_aggregation_reference
from dealias.testing import assert_close
from dealias.testing.modules import check_gradients


def random(*arguments, **options):
    torch.manual_seed(0)
    module = DCNv3(*arguments, **options).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def test_a_new_module_is_a_mean_over_the_kernel_between_its_projections():
    module = DCNv3(6, 2)
    x = torch.randn(2, 5, 7, 6)
    values = F.linear(x, module.enter.weight).permute(0, 3, 1, 2)
    mean = F.avg_pool2d(values, 3, stride=1, padding=1).permute(0, 2, 3, 1)
    assert_close(module(x), F.linear(mean, module.leave.weight))


def test_offsets_and_weights_come_from_the_guide():
    module = random(6, 2, guide_kernel=5, offset_scale=2.0, activation="silu")
    x = torch.randn(1, 4, 5, 6, dtype=torch.float64)
    conv, norm = module.guide[0], module.guide[1]
    convolved = F.conv2d(x.permute(0, 3, 1, 2), conv.weight, conv.bias, padding=2, groups=6).permute(0, 2, 3, 1)
    guide = F.silu(F.layer_norm(convolved, (6,), norm.weight, norm.bias, eps=1e-6))
    offsets = module.to_offsets(guide).reshape(1, 4, 5, 2, 9, 2).permute(0, 3, 4, 5, 1, 2)
    weights = module.to_weights(guide).reshape(1, 4, 5, 2, 9).softmax(-1).permute(0, 3, 4, 1, 2)
    values = module.enter(x).permute(0, 3, 1, 2)
    found = deformable_aggregation_reference(values, offsets, weights, offset_scale=2.0)
    assert_close(module(x), module.leave(found.permute(0, 2, 3, 1)))


def test_share_of_the_pixel_itself():
    module, x = random(6, 2, center_scale=True), torch.randn(1, 4, 5, 6, dtype=torch.float64)
    plain = random(6, 2)
    plain.load_state_dict({key: value for key, value in module.state_dict().items() if "to_shares" not in key})
    module.leave = plain.leave = nn.Identity()
    guide = module.guide(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    shares = module.to_shares(guide).sigmoid()[..., [0, 0, 0, 1, 1, 1]]
    assert_close(module(x), (1 - shares) * plain(x) + shares * plain.enter(x))


def test_without_the_central_tap():
    module = DCNv3(4, 1, remove_center=True)
    module.enter = module.leave = nn.Identity()
    impulse = torch.zeros(1, 5, 5, 4)
    impulse[0, 2, 2] = 1
    ring = torch.zeros(5, 5)
    ring[1:4, 1:4] = 1 / 8
    ring[2, 2] = 0
    assert_close(module(impulse), ring[None, :, :, None].expand(1, 5, 5, 4))


def test_dilated_kernel_keeps_the_size():
    module = DCNv3(4, 2, kernel_size=5, dilation=2)
    module.enter = module.leave = nn.Identity()
    impulse = torch.zeros(1, 11, 12, 4)
    impulse[0, 5, 5] = 1
    mean = torch.zeros(11, 12)
    mean[1:10:2, 1:10:2] = 1 / 25
    assert_close(module(impulse), mean[None, :, :, None].expand(1, 11, 12, 4))


@pytest.mark.parametrize("options", [{}, {"norm": "batch", "activation": "relu"}, {"center_scale": True}], ids=str)
def test_every_parameter_is_trained(options):
    check_gradients(random(6, 3, **options), [torch.randn(2, 3, 5, 6, dtype=torch.float64)])


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 2)])
def test_small_maps(size):
    module = random(4, 2)
    x = torch.randn(2, *size, 4, dtype=torch.float64)
    assert module(x).shape == x.shape and module(x).isfinite().all()
    assert module(x[:0]).shape == (0, *size, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": 4}, "4 groups do not divide 6 channels"),
        ({"kernel_size": 2}, "kernels must be odd, got kernel_size=2 and guide_kernel=None"),
        ({"guide_kernel": 4}, "kernels must be odd, got kernel_size=3 and guide_kernel=4"),
        ({"norm": "LN"}, "unknown norm 'LN'; known: layer, batch"),
        ({"activation": "tanh"}, "unknown activation 'tanh'; known: gelu, silu, relu"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        DCNv3(**{"channels": 6, "groups": 2, **arguments})
