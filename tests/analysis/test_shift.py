# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from dealias.analysis import shift_change


def images(count=2, size=48):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def seeded(*layers):
    torch.manual_seed(0)
    return nn.Sequential(*layers).eval()


def test_an_equivariant_network_does_not_change():
    network = seeded(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))
    change = shift_change(network, [images()], shift=3, margin=2, multiple=1)
    assert change.logits < 1e-6 and change.labels == 0
    assert shift_change(network, [images()], shift=3, margin=0, multiple=1).logits > 1e-3, "the border's influence"


def test_a_strided_network_changes_unless_the_shift_is_a_multiple():
    network = seeded(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.Upsample(scale_factor=4), nn.Conv2d(8, 4, 1))
    assert shift_change(network, [images()], shift=2, margin=4, multiple=4).logits > 0.05
    assert shift_change(network, [images()], shift=4, margin=4, multiple=4).logits < 1e-6


def test_numbers_against_a_loop():
    def network(x):
        ramp = torch.arange(x.shape[-1], dtype=x.dtype)
        return torch.stack([x[:, 0] * ramp, x[:, 1] + 1, x[:, 2] - ramp], dim=1)

    batches = [images(2, 21), images(1, 30)]
    difference = power = changed = pixels = 0.0
    for batch in batches:
        side = (batch.shape[-1] - 3) // 4 * 4
        first, second = network(batch[..., :side, :side]), network(batch[..., 3 : side + 3, 3 : side + 3])
        for n in range(len(batch)):
            for y in range(3, side):
                for x in range(3, side):
                    a, b = first[n, :, y, x], second[n, :, y - 3, x - 3]
                    difference += (a - b).square().sum().item()
                    power += a.square().sum().item()
                    changed += int(a.argmax() != b.argmax())
                    pixels += 1
    found = shift_change(network, batches, shift=3, multiple=4)
    assert found.logits == pytest.approx((difference / power) ** 0.5, rel=1e-5)
    assert found.labels == pytest.approx(changed / pixels)
    assert found.labels > 0


def test_too_small_images_and_none_are_refused():
    with pytest.raises(ValueError, match=r"\(48, 48\).*multiples of 32, shift 20 and margin 6"):
        shift_change(nn.Identity(), [images()], shift=20, margin=6)
    with pytest.raises(ValueError, match="no images"):
        shift_change(nn.Identity(), [], shift=1)
