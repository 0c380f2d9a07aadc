# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from dealias.analysis import WidthRecall
from dealias.data import SyntheticScenes


def test_recall_on_scenes_against_a_pixel_loop():
    scenes = SyntheticScenes(3, size=(64, 96), seed=1)
    pole = scenes.classes.index("pole")
    generator = np.random.default_rng(0)
    recall, found, total = WidthRecall(pole), {}, {}
    for index in range(3):
        scene = scenes.scene(index)
        prediction = np.where(generator.random(scene.labels.shape) < 0.3, 0, scene.labels)
        widths = {thing.id: thing.width_px for thing in scene.objects if thing.label == pole}
        recall.update(prediction, scene.instances, widths)
        for y, x in np.ndindex(*scene.labels.shape):
            if scene.instances[y, x] in widths:
                width = round(widths[scene.instances[y, x]])
                total[width] = total.get(width, 0) + 1
                found[width] = found.get(width, 0) + int(prediction[y, x] == pole)
    assert recall.compute() == {width: found[width] / total[width] for width in sorted(total)}
    assert len(total) >= 3


def test_widths_are_rounded_and_hidden_objects_left_out():
    recall = WidthRecall(label=2)
    instances = np.array([[5, 5, 6, 6, 7]])
    recall.update(np.array([[2, 0, 2, 2, 2]]), instances, {5: 1.4, 6: 1.5, 8: 4.0})
    assert recall.compute() == {1: 0.5, 2: 1.0}


def test_different_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 2\).*\(2, 1\)"):
        WidthRecall(0).update(np.zeros((1, 2), int), np.zeros((2, 1), int), {})
