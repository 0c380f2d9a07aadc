# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision import tv_tensors

from dealias.data import SceneStyle, SyntheticScenes

NOTHING = {name: (0, 0) for name in ("textures", "fences", "poles", "wires", "blobs", "signs")}


def only(**options) -> SceneStyle:
    """Scenes with nothing but the given objects, evenly lit and without noise."""
    return SceneStyle(**{**NOTHING, "noise": 0.0, "illumination": 0.0, **options})


def test_sample_types():
    sample = SyntheticScenes(3, size=(64, 96), seed=5)[2]
    assert isinstance(sample["image"], tv_tensors.Image) and isinstance(sample["mask"], tv_tensors.Mask)
    assert sample["image"].dtype == sample["mask"].dtype == torch.uint8
    assert sample["image"].shape == (3, 64, 96) and sample["mask"].shape == (64, 96)
    assert sample["name"] == "scene_5_000002"


def test_a_scene_depends_on_seed_and_index_alone():
    forward = [SyntheticScenes(4, seed=3).scene(i) for i in range(4)]
    np.random.seed(0)
    scenes = SyntheticScenes(100, seed=3)
    for i in (3, 0, 2, 1):
        again = scenes.scene(i)
        assert np.array_equal(again.image, forward[i].image) and np.array_equal(again.instances, forward[i].instances)
        assert again.objects == forward[i].objects
        assert torch.equal(scenes[i]["image"], torch.from_numpy(again.image).permute(2, 0, 1))
    others = [*forward, *(SyntheticScenes(4, seed=4).scene(i) for i in range(4))]
    assert len({other.image.tobytes() for other in others}) == 8


def test_workers_and_other_processes_see_the_same_scenes():
    scenes = SyntheticScenes(6, size=(64, 64), seed=1)
    for sample, batch in zip(scenes, DataLoader(scenes, batch_size=None, num_workers=2), strict=True):
        assert torch.equal(sample["image"], batch["image"]) and torch.equal(sample["mask"], batch["mask"])
    code = "from dealias.data import *; print(int(SyntheticScenes(6, size=(64, 64), seed=1)[5]['image'].long().sum()))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(printed) == int(scenes[5]["image"].long().sum())


def test_every_class_is_frequent():
    scenes = SyntheticScenes(40, seed=0)
    labels = np.stack([scenes[i]["mask"].numpy() for i in range(40)])
    share = np.bincount(labels.ravel(), minlength=len(scenes.classes)) / labels.size
    assert len(share) == len(scenes.classes) == len(set(scenes.palette))
    assert share.min() > 0.02
    signs = [sum(o.label == scenes.classes.index("sign") for o in scenes.scene(i).objects) for i in range(40)]
    assert 5 < np.mean(signs) <= 12 and max(signs) <= 12


@pytest.mark.parametrize("frequency", [1.0, 1.4])
@pytest.mark.parametrize("kind", ["coarse stripes", "medium stripes", "fine stripes"])
def test_stripes_have_the_stated_frequency(kind, frequency):
    style = only(textures=(1, 1), frequency=frequency)
    scenes = SyntheticScenes(60, seed=2, style=style)
    label = scenes.classes.index(kind)
    low, high = getattr(style, f"{kind.split()[0]}_period")
    measured = 0
    for i in range(60):
        scene = scenes.scene(i)
        region = scene.labels == label
        if region.sum() < 1500:
            continue
        (stripes,) = scene.objects
        assert low / frequency <= stripes.width_px <= high / frequency
        gray = scene.image.mean(axis=2)
        wave = np.where(region, gray - gray[region].mean(), 0)
        power = np.abs(np.fft.fft2(wave, (512, 512)))
        fy, fx = np.unravel_index(power.argmax(), power.shape)
        peak = math.hypot(np.fft.fftfreq(512)[fy], np.fft.fftfreq(512)[fx])
        assert peak == pytest.approx(1 / stripes.width_px, abs=0.006)
        measured += 1
    assert measured > 3


def test_texture_colour_says_nothing_about_its_class():
    scenes = SyntheticScenes(150, seed=0, style=only(textures=(4, 4)))
    means: dict[int, list[float]] = {}
    for i in range(150):
        scene = scenes.scene(i)
        for thing in scene.objects:
            pixels = scene.image[scene.instances == thing.id]
            if len(pixels) > 300:
                means.setdefault(thing.label, []).append(float(pixels.mean()))
    averages = [np.mean(values) for values in means.values()]
    spread = np.mean([np.std(values) for values in means.values()])
    assert len(averages) == 4 and max(averages) - min(averages) < 0.6 * spread


@pytest.mark.parametrize("thickness", [1.0, 1.5])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_poles_are_as_wide_as_they_say(width, thickness):
    scenes = SyntheticScenes(30, seed=7, style=only(poles=(1, 1), pole_widths=(width,), thickness=thickness))
    measured = []
    for i in range(30):
        scene = scenes.scene(i)
        for pole in scene.objects:
            assert pole.width_px == width * thickness
            rows, columns = np.nonzero(scene.instances == pole.id)
            inside = 4 < rows.min() and rows.max() < 123 and 4 < columns.min() and columns.max() < 123
            if inside:  # not cut by the frame: area = length * width, and a bar's long axis has variance length^2 / 12
                variance = np.linalg.eigvalsh(np.cov(rows, columns))[-1]
                measured.append(len(rows) / math.sqrt(12 * variance))
    assert len(measured) > 5
    assert np.mean(measured) == pytest.approx(width * thickness, rel=0.06)


def test_pole_pixels_are_seen_in_the_image():
    scenes = SyntheticScenes(10, seed=1, style=only(poles=(2, 2), wires=(1, 1)))
    for i in range(10):
        scene = scenes.scene(i)
        gray = scene.image.mean(axis=2)
        for pole in scene.objects:
            assert abs(gray[scene.instances == pole.id].mean() - np.median(gray[scene.labels == 0])) > 15


def test_fences_are_labelled_whole_and_show_what_is_behind():
    scenes = SyntheticScenes(20, seed=3, style=only(fences=(1, 1)))
    solid = []
    for i in range(20):
        scene = scenes.scene(i)
        (fence,) = scene.objects
        assert 1 <= fence.width_px <= 2
        ground = np.median(scene.image[scene.labels == 0].mean(axis=1))
        bars = np.abs(scene.image[scene.instances == fence.id].mean(axis=1) - ground) > 40
        solid.append(bars.mean())
    assert 0.15 < np.mean(solid) < 0.6


@pytest.mark.parametrize(("kind", "sizes"), [("signs", (5, 13)), ("blobs", (16, 30))])
def test_signs_and_blobs_have_the_area_of_their_diameter(kind, sizes):
    scenes = SyntheticScenes(40, seed=3, size=(256, 256), style=only(**{kind: (1, 1)}))
    ratios = []
    for i in range(40):
        scene = scenes.scene(i)
        for thing in scene.objects:
            left, top, right, bottom = thing.box
            assert sizes[0] <= thing.width_px <= sizes[1]
            if left > 0 and top > 0 and right < 256 and bottom < 256:
                ratios.append((scene.instances == thing.id).sum() / (math.pi * thing.width_px**2 / 4))
    assert np.median(ratios) == pytest.approx(1, rel=0.05)


def test_numbers_scale_with_the_area():
    for size, expected in (((128, 128), 4), ((256, 256), 16), ((64, 64), 1)):
        scenes = SyntheticScenes(10, size=size, style=only(signs=(4, 4), sign_size=(5, 5)))
        assert np.mean([len(scenes.scene(i).objects) for i in range(10)]) == pytest.approx(expected, rel=0.15)


def test_light_and_noise():
    flat = dict(NOTHING, noise=0.0, illumination=0.0)
    dark, noisy = (
        SyntheticScenes(1, style=SceneStyle(**{**flat, **changed}))[0]["image"].double()
        for changed in ({"illumination": 0.25}, {"noise": 0.04})
    )
    plain = SyntheticScenes(1, style=SceneStyle(**flat))[0]["image"].double()
    assert (noisy - plain).std() / 255 == pytest.approx(0.04, rel=0.05)
    ratio = dark / plain
    assert ratio.min() == pytest.approx(0.75, abs=0.03) and ratio.max() == pytest.approx(1.25, abs=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fine_period": (5.0, 3.0)}, "fine_period"),
        ({"noise": -1.0}, "noise"),
        ({"pole_widths": ()}, "pole_widths"),
        ({"frequency": 0.0}, "frequency"),
        ({"frequency": 2.0}, "at least 2 pixels"),
        ({"signs": (3, 2)}, "signs"),
    ],
)
def test_bad_styles_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SceneStyle(**options)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="size must be at least 32x32"):
        SyntheticScenes(1, size=(31, 64))
    with pytest.raises(ValueError, match="negative"):
        SyntheticScenes(1, seed=-1)
    with pytest.raises(IndexError, match="scene 1 of 1"):
        SyntheticScenes(1)[1]


def test_style_is_data():
    style = SceneStyle(frequency=1.2)
    assert SceneStyle(**dataclasses.asdict(style)) == style
