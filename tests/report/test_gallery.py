# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
from PIL import Image

from dealias.report import canvas
from dealias.report.canvas import GAP, LINE, MARGIN, Legend, Tile, draw_grid, fit
from dealias.report.folding import render_folding
from dealias.report.gallery import BROKEN, CORRECTED, STILL_WRONG, error_map, render_gallery
from dealias.report.pictures import load_pictures, save_pictures

TOP = MARGIN + 2 * LINE + GAP


def test_pictures_round_trip_and_label_files_hold_ids_and_colours(pictures, tmp_path):
    save_pictures(tmp_path / "pictures", pictures)
    loaded = load_pictures(tmp_path / "pictures")
    assert dataclasses.replace(loaded, samples=()) == dataclasses.replace(pictures, samples=())
    for found, expected in zip(loaded.samples, pictures.samples, strict=True):
        assert found.name == expected.name
        for part in ("image", "truth", "prediction"):
            np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))
    truth = Image.open(tmp_path / "pictures" / "001_truth.png")
    assert truth.mode == "P"
    assert truth.convert("RGB").getpixel((0, 0)) == (0, 0, 0)
    y, x = np.argwhere(pictures.samples[1].truth == 1)[0]
    assert truth.convert("RGB").getpixel((int(x), int(y))) == pictures.palette[1]


def test_error_map_colours_by_a_pixel_loop(pictures):
    sample = pictures.samples[1]
    other = dataclasses.replace(sample, prediction=pictures.samples[0].prediction)
    found = error_map(other, sample, 255)
    seen = set()
    for y, x in np.ndindex(*sample.truth.shape):
        wrong, before = (part.prediction[y, x] != part.truth[y, x] != 255 for part in (other, sample))
        colour = {(True, True): STILL_WRONG, (False, True): CORRECTED, (True, False): BROKEN}.get((wrong, before))
        grey = int(255 - (255 - sample.image[y, x].mean()) * 0.35)
        assert tuple(found[y, x].tolist()) == (colour or (grey, grey, grey))
        seen.add(colour)
    assert len(seen) == 4
    alone = error_map(sample, None, 255)
    wrong = (sample.prediction != sample.truth) & (sample.truth != 255)
    assert (alone[wrong] == STILL_WRONG).all() and not (alone[~wrong] == STILL_WRONG).all(axis=1).any()


def test_gallery_shows_every_picture_at_its_place(pictures):
    other = dataclasses.replace(
        pictures,
        samples=tuple(dataclasses.replace(sample, prediction=sample.truth % 3) for sample in pictures.samples),
    )
    gallery = np.asarray(render_gallery({"bilinear": pictures, "perfect": other}, "subtitle"))
    factor = 256 // 10
    cell, height = 10 * factor, 8 * factor
    pitch = height + 2 * LINE + GAP
    table = np.zeros((256, 3), np.uint8)
    table[:3] = pictures.palette
    for number, sample in enumerate(pictures.samples):
        expected = {
            (0, 0): sample.image,
            (1, 0): table[sample.truth],
            (0, 1): table[sample.prediction],
            (1, 1): error_map(sample, None, 255),
            (0, 2): table[sample.truth % 3],
            (1, 2): error_map(other.samples[number], sample, 255),
        }
        for (row, column), picture in expected.items():
            top, left = TOP + (2 * number + row) * pitch, MARGIN + column * (cell + GAP)
            shown = gallery[top : top + height, left : left + cell]
            np.testing.assert_array_equal(shown, picture.repeat(factor, 0).repeat(factor, 1))


def test_legend_names_pixels_without_ground_truth_where_there_are_any(pictures):
    def black_swatches(samples):
        gallery = np.asarray(render_gallery({"bilinear": dataclasses.replace(pictures, samples=samples)}, ""))
        below = gallery[TOP + 2 * len(samples) * (200 + 2 * LINE + GAP) :]
        return (below == 0).all(axis=2).sum() // (canvas.SWATCH - 1) ** 2

    assert black_swatches(pictures.samples[:1]) == 0
    assert black_swatches(pictures.samples) == 1


def test_gallery_of_different_samples_is_refused(pictures):
    fewer = dataclasses.replace(pictures, samples=pictures.samples[:1])
    with pytest.raises(ValueError, match=r"'b' show \['sample 0'\]"):
        render_gallery({"a": pictures, "b": fewer}, "")
    with pytest.raises(ValueError, match="at least one run"):
        render_gallery({}, "")


def test_legend_wraps_inside_the_picture_with_its_colours():
    entries = tuple(((number * 6, 255 - number * 6, 128), f"class number {number}") for number in range(30))
    tile = Tile(np.zeros((64, 64, 3), np.uint8), "caption")
    drawn = np.asarray(draw_grid("title", "", [[tile]], [Legend("Classes", entries)], width=64))
    for colour, _ in entries:
        found = np.argwhere((drawn == colour).all(axis=2))
        inside = (canvas.SWATCH - 1) ** 2
        assert len(found) == inside
        assert found[:, 1].max() < drawn.shape[1] - MARGIN


def test_large_pictures_are_averaged_down():
    picture = np.zeros((4, 600, 3), np.uint8)
    picture[:, ::2] = 200
    assert fit(picture, 300).size == (300, 2)
    assert np.asarray(fit(picture, 300)).tolist() == [[[100] * 3] * 300] * 2


def test_an_empty_grid_is_refused():
    with pytest.raises(ValueError, match="at least one tile"):
        draw_grid("", "", [[]])


def test_folding_panel_shows_the_plate_and_its_decimation():
    panel = np.asarray(render_folding(size=64))
    first, last = panel[TOP : TOP + 64, MARGIN : MARGIN + 64], panel[TOP + 64 + 2 * LINE + GAP :, MARGIN : MARGIN + 64]
    assert first[32, 32].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(last[:64], first[::2, ::2].repeat(2, 0).repeat(2, 1))
