# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dealias.train import predict_logits
from dealias.train.inference import window_starts


@pytest.fixture
def pixelwise():
    torch.manual_seed(1)
    return torch.nn.Conv2d(3, 4, 1).requires_grad_(False)


@pytest.fixture
def network():
    """Logits that depend on the surroundings and on the border."""
    torch.manual_seed(2)
    return torch.nn.Conv2d(3, 4, 7, padding=3).requires_grad_(False)


@pytest.fixture
def images():
    return torch.randn(2, 3, 45, 70, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("window", "stride"), [(32, 20), ((33, 64), (33, 1)), (32, None), (500, 400), ((500, 40), None)]
)
def test_windows_of_a_pixelwise_network_give_the_whole_image(pixelwise, images, window, stride):
    found = predict_logits(pixelwise, images, window=window, stride=stride)
    torch.testing.assert_close(found, pixelwise(images))


def test_overlapping_windows_are_averaged_pixel_by_pixel(network, images):
    window, stride = (32, 40), (10, 25)
    total, count = np.zeros((2, 4, 45, 70)), np.zeros((45, 70))
    for top, left in itertools.product([0, 10, 13], [0, 25, 30]):
        crop = network(images[:, :, top : top + 32, left : left + 40])
        for y, x in itertools.product(range(32), range(40)):
            total[:, :, top + y, left + x] += crop[:, :, y, x].numpy()
            count[top + y, left + x] += 1
    found = predict_logits(network, images, window=window, stride=stride)
    np.testing.assert_allclose(found.numpy(), total / count, rtol=1e-4, atol=1e-5)


def test_a_window_larger_than_the_image_is_the_whole_image(network, images):
    assert torch.equal(predict_logits(network, images, window=100), network(images))


def test_windows_cover_every_pixel_and_stay_inside():
    for length, window in itertools.product(range(1, 40), range(1, 20)):
        for stride in range(1, window + 1):
            starts = window_starts(length, window, stride)
            covered = {start + i for start in starts for i in range(min(window, length))}
            assert covered == set(range(length))
            assert starts == sorted(set(starts)) and all(b - a <= stride for a, b in itertools.pairwise(starts))


def test_views_are_averaged_as_probabilities(network, images):
    size = (68, 105)
    larger = F.interpolate(images, size, mode="bilinear", align_corners=False)
    views = [network(images), network(images.flip(-1)).flip(-1)]
    views += [
        F.interpolate(logits, (45, 70), mode="bilinear", align_corners=False)
        for logits in (network(larger), network(larger.flip(-1)).flip(-1))
    ]
    expected = torch.stack([view.softmax(1) for view in views]).mean(0)
    found = predict_logits(network, images, scales=(1.0, 1.5), flip=True)
    torch.testing.assert_close(found.softmax(1), expected)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(2, 45, 70))


def test_flipped_views_make_the_prediction_equivariant(network, images):
    def predict(x):
        return predict_logits(network, x, flip=True)

    torch.testing.assert_close(predict(images.flip(-1)).flip(-1), predict(images))
    assert not torch.allclose(network(images.flip(-1)).flip(-1), network(images))


def test_shrunk_views_keep_the_smallest_size(network):
    seen = []

    def recording(x):
        seen.append(tuple(x.shape[-2:]))
        return network(x)

    predict_logits(recording, torch.zeros(1, 3, 40, 90), scales=(0.5, 1.0))
    assert seen == [(32, 45), (40, 90)]


def test_confident_views_stay_finite(images):
    logits = predict_logits(
        lambda x: x.new_tensor([1e4, 0.0]).view(1, 2, 1, 1) * torch.ones_like(x[:, :1]), images, flip=True
    )
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": ()}, "scales"),
        ({"scales": (1.0, 0.0)}, r"\(1.0, 0.0\)"),
        ({"window": 32, "stride": 33}, r"\(32, 32\), got \(33, 33\)"),
        ({"window": 32, "stride": 0}, "stride"),
        ({"stride": 8}, "needs a window"),
    ],
)
def test_impossible_options_are_named(pixelwise, images, options, message):
    with pytest.raises(ValueError, match=message):
        predict_logits(pixelwise, images, **options)
