# SPDX-License-Identifier: Apache-2.0
"""Memory of graphs small enough to follow by hand; all maps hold SIZE bytes unless said otherwise."""

import torch
from torch import nn

from dealias.complexity import kept_bytes, peak_bytes
from dealias.complexity.parts import Part

CPU = torch.device("cpu")
VALUES = 64 * 64
SIZE = 4 * VALUES


class Staircase(nn.Module):
    """One map, then two beside it, of which one stays."""

    def forward(self, x):
        y = x.exp()  # 1 map alive
        z = torch.cat([y, y])  # 3 maps
        return z[:VALUES].neg()  # 4 maps, of which 1 remains with its caller


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Staircase(), nn.ReLU()

    def forward(self, x):
        return self.second(self.first(x))


def parts_of(network):
    children = [Part(name, {name: child}, 1) for name, child in network.named_children()]
    return [Part("network", {"": network}), *children]


def peaks(network, x):
    return [peak for _, peak in peak_bytes(lambda: network(x), parts_of(network), CPU).items()]


def kept(network, x, beside=None):
    found = kept_bytes(lambda: network(x), parts_of(network), [x] if beside is None else beside)
    return list(found.values())


def test_peak_is_the_most_that_is_alive_beside_the_inputs():
    assert peaks(Staircase(), torch.zeros(VALUES)) == [4 * SIZE]


def test_peak_of_a_part_is_beside_what_was_held_before():
    whole, first, second = peaks(Two(), torch.zeros(VALUES))
    assert (whole, first, second) == (4 * SIZE, 4 * SIZE, SIZE)


def test_peak_of_modules_that_run_in_turn_is_the_highest_of_them():
    network = nn.Sequential(nn.ReLU(), nn.Softplus(), Staircase())
    part = Part("some", {"0": network[0], "2": network[2]})
    x = torch.zeros(VALUES)
    assert peak_bytes(lambda: network(x), [part], CPU) == {part: 4 * SIZE}


@torch.library.custom_op("dealias_tests::least", mutates_args=())
def least(x: torch.Tensor) -> torch.Tensor:
    return x.sort().values[:1].clone()


class Least(nn.Module):
    def forward(self, x):
        return least(x)


def test_peak_sees_what_operators_hold_inside():
    (found,) = peaks(Least(), torch.zeros(VALUES))
    indices = 2 * SIZE  # of the sorted copy, 64 bits each
    assert found >= SIZE + indices


def test_kept_are_the_results_that_gradients_need():
    x = torch.randn(8, 16)
    network = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4), nn.Sigmoid())
    hidden, out = 4 * 8 * 32, 4 * 8 * 4
    # the first layer keeps its input, which exists anyway; relu and the second layer keep the same map
    assert kept(network, x) == [hidden + out, 0, hidden, hidden, out]
    assert kept(network, x, beside=[])[0] == hidden + out + 4 * 8 * 16


def test_views_of_a_kept_map_count_once():
    class Views(nn.Module):
        def forward(self, x):
            y = x * 2
            return (y[:10].square().sum() + y.view(64, 64)[:5].square().sum()) * y.square().sum()

    x = torch.randn(VALUES, requires_grad=True)
    (found,) = kept(Views(), x)
    scalars = found - SIZE
    assert 0 <= scalars <= 64


def test_nothing_is_kept_where_no_gradient_is_needed():
    network = nn.Sequential(nn.Linear(4, 4), nn.Tanh()).requires_grad_(False)
    assert kept(network, torch.randn(2, 4)) == [0, 0, 0]
