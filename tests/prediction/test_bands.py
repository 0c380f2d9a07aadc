# SPDX-License-Identifier: Apache-2.0
"""Large images are predicted one row of windows at a time, with the result of doing it all at once."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dealias.data import read_labels
from dealias.models import create_model
from dealias.prediction import Predictor, run
from dealias.prediction.bands import sliding_rows
from dealias.train import InferenceSettings

CASES = [
    ((75, 90), (32, 32), (20, 20), False),
    ((75, 90), (40, 33), (40, 11), True),
    ((64, 96), (64, 48), (1, 48), False),
    ((40, 50), (64, 64), (30, 30), True),
    ((97, 33), (32, 40), (7, 40), False),
]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return create_model("fpn", "test_resnet", classes=5, decoder_channels=8).eval()


def prepare(part):
    return part.float() / 255 - 0.5


def blend_of_windows(network, image, window, stride, mirrored):
    """Logits of every window, each on a map of the whole image, averaged where there are any."""
    image = image.flip(-1) if mirrored else image
    height, width = image.shape[1:]
    logits = []
    for top in [*range(0, height - window[0], stride[0]), height - window[0]]:
        for left in [*range(0, width - window[1], stride[1]), width - window[1]]:
            area = (slice(top, top + window[0]), slice(left, left + window[1]))
            whole = torch.full((5, height, width), torch.nan)
            whole[:, *area] = network(prepare(image[:, *area])[None])[0]
            logits.append(whole)
    mean = torch.stack(logits).nanmean(0)
    return mean.flip(-1) if mirrored else mean


@pytest.mark.parametrize(("size", "window", "stride", "mirrored"), CASES)
def test_rows_are_the_blend_of_all_windows(network, size, window, stride, mirrored):
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    cut = tuple(min(pair) for pair in zip(window, size, strict=True))
    with torch.no_grad():
        bands = list(sliding_rows(network, image, prepare, window, stride, mirrored))
        expected = blend_of_windows(network, image, cut, stride, mirrored)
    starts = [rows.start for rows, _ in bands]
    assert starts == [0, *(rows.stop for rows, _ in bands[:-1])] and bands[-1][0].stop == size[0]
    found = torch.cat([logits for _, logits in bands], dim=2)[0]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_labels_by_rows_are_those_of_the_whole_blend(network):
    image = torch.randint(0, 256, (3, 90, 75), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    predictor = Predictor(network, ((0, 0, 0),) * 5, settings=InferenceSettings(window=40, stride=25, flip=True))
    assert predictor.by_rows
    with torch.no_grad():
        views = [
            blend_of_windows(lambda x: network(x + 0.5), image, (40, 40), (25, 25), mirrored)
            for mirrored in (False, True)
        ]
    expected = sum(view.softmax(0) for view in views).argmax(0)
    np.testing.assert_array_equal(predictor(image), expected.numpy())


def test_no_window_sees_more_than_itself_and_memory_is_of_one_row(network):
    """Of an image that is 40 times as high as a window, no tensor has more than a window's rows."""
    shapes = []

    def watched(images):
        shapes.append(tuple(images.shape))
        return network(images)

    image = torch.zeros(3, 32 * 40, 48, dtype=torch.uint8)
    with torch.no_grad():
        rows = [logits.shape[2] for _, logits in sliding_rows(watched, image, prepare, (32, 32), (32, 32))]
    assert set(shapes) == {(1, 3, 32, 32)} and len(shapes) == 80
    assert sum(rows) == 1280 and max(rows) <= 16


def test_images_too_large_for_one_piece_need_a_window(predict, save, monkeypatch):
    save("in/a.png", (60, 70))
    save("in/b.png", (40, 50))
    monkeypatch.setattr(run, "LARGEST_WHOLE", 3000)
    for number, options in enumerate(([], ["--window", 40, "--scales", 0.5])):
        code, _, err = predict("in", "--out", f"whole{number}", *options)
        assert code == 2 and re.search("in/a.png: it has 0 megapixels, more than .* use a --window", err)
        assert [path.name for path in Path(f"whole{number}/labels").iterdir()] == ["b.png"]
    assert predict("in", "--out", "tiles", "--window", 40)[0] == 0
    assert read_labels("tiles/labels/a.png").shape == (60, 70)


def test_large_images_come_one_after_the_other_and_without_a_warning(predict, save, monkeypatch):
    for name in "abcd":
        save(f"in/{name}.png", (40, 50))
    assert predict("in", "--out", "expected", "--window", 40)[0] == 0
    monkeypatch.setattr(run, "_AHEAD_PIXELS", 2500)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert predict("in", "--out", "out", "--window", 40)[0] == 0
    for name in "abcd":
        assert Path(f"out/labels/{name}.png").read_bytes() == Path(f"expected/labels/{name}.png").read_bytes()


def test_images_beyond_the_limit_are_refused_with_a_window_too(predict, save, monkeypatch):
    save("a.png", (40, 50))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900)
    code, _, err = predict("a.png", "--out", "out", "--window", 40)
    assert code == 2 and "a.png: cannot be read as an image: Image size (2000 pixels) exceeds limit" in err
