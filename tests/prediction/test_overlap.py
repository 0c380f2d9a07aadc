# SPDX-License-Identifier: Apache-2.0
"""Images are read and predictions are written while the network works, a few at a time."""

import threading

import numpy as np
import pytest

from dealias.data import read_labels
from dealias.prediction import Outputs, find_images, predict_images, run

COUNT = 12
PATIENCE = 20


class Network:
    """Stands for a predictor: the classes of an image are its red channel, modulo 7."""

    palette = ((0, 0, 0),) * 7
    by_rows = False

    def __init__(self):
        self.begun = 0

    def __call__(self, image):
        self.begun += 1
        return (image[0] % 7).numpy()


@pytest.fixture
def images(save):
    for number in range(COUNT):
        save(f"in/{number:02d}.png", (32 + number, 40))
    return find_images(["in"]).images


@pytest.fixture
def reads(monkeypatch):
    """Names of the images that were read, in this order; a condition tells of each."""
    names, changed, read = [], threading.Condition(), run.read_image

    def note(path):
        with changed:
            names.append(path.stem)
            changed.notify_all()
        return read(path)

    monkeypatch.setattr(run, "read_image", note)
    return names, changed


def test_the_network_waits_neither_for_reading_nor_for_writing(tmp_path, images, reads):
    names, changed = reads
    outputs, written = Outputs(tmp_path / "out"), threading.Condition()

    class Waiting(Network):
        """Works on an image until the next one is read and the last one is written."""

        def __call__(self, image):
            labels = super().__call__(image)
            with changed:
                assert changed.wait_for(lambda: len(names) > min(self.begun, COUNT - 1), PATIENCE)
            with written:
                last = f"{self.begun - 2:02d}"
                assert self.begun == 1 or written.wait_for(lambda: outputs.are_complete(last), PATIENCE)
            return labels

    class Telling(Outputs):
        def write(self, *arguments):
            super().write(*arguments)
            with written:
                written.notify_all()

    assert predict_images(Waiting(), images, Telling(tmp_path / "out")) == []
    assert names == [image.name for image in images]


def test_outputs_belong_to_their_images_and_progress_counts_them(tmp_path, images, reads):
    names, _ = reads
    network, outputs, seen = Network(), Outputs(tmp_path / "out"), []

    def move(*news):
        seen.append(news)
        assert len(names) <= network.begun + run._AHEAD + 1

    assert predict_images(network, images, outputs, move) == []
    assert seen == [(done, COUNT) for done in range(1, COUNT + 1)]
    for image in images:
        assert outputs.are_complete(image.name)
        expected = run.read_image(image.path)[0] % 7
        np.testing.assert_array_equal(read_labels(outputs.files(image.name)[0]).numpy(), expected.numpy())


@pytest.mark.parametrize("bad", [0, 5, COUNT - 1])
def test_a_failing_write_ends_the_prediction(tmp_path, images, bad):
    class Full(Outputs):
        def write(self, name, *arguments):
            if name == images[bad].name:
                raise OSError("no space left on device")
            super().write(name, *arguments)

    network, outputs = Network(), Full(tmp_path / "out")
    with pytest.raises(OSError, match="no space left"):
        predict_images(network, images, outputs)
    assert network.begun <= bad + 1 + run._AHEAD
    assert not outputs.are_complete(images[bad].name)
    assert all(outputs.are_complete(image.name) for image in images[:bad])
    assert not list((tmp_path / "out").rglob("*.part"))
