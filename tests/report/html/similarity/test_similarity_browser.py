# SPDX-License-Identifier: Apache-2.0
"""The pictures of features react to clicks and keys, in a browser."""

import numpy as np
import pytest

from dealias.report.html import write_report
from dealias.report.html.heat import heat_colours


def place_of(spot):
    return f"(({{x, y, width, height}}) => [x, y, width, height])({spot}.getBoundingClientRect())"


def canvas_of(spot):
    """Size and pixels, read from a copy: reading the canvas itself often makes the browser complain."""
    copy = "new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true})"
    read = "copy.getImageData(0, 0, canvas.width, canvas.height).data"
    drawn = f"const copy = {copy}; copy.drawImage(canvas, 0, 0); return [canvas.width, canvas.height, ...{read}]"
    return f"(canvas => {{ {drawn} }})({spot}.querySelector('canvas'))"


def likeness(vectors, y, x):
    """The colours of the cosines with the place, [h, w, 3]."""
    unit = vectors / np.linalg.norm(vectors, axis=0)
    cosines = np.einsum("chw,c->hw", unit, unit[:, y, x])
    return np.array(heat_colours())[np.floor(255 * np.clip(cosines, 0, 1) + 0.5).astype(int)]


def test_a_click_shows_what_resembles_the_place(browser, folder):
    browser.open(write_report([folder], folder / "report.html"))
    spot = "document.querySelectorAll('#c1-features .sample')[1].querySelectorAll('.chosen .spot')[{}]"
    before, after = spot.format(0), spot.format(1)
    assert browser.evaluate("document.querySelector('.features').dataset.shows") == "colours"
    browser.evaluate(
        f"document.documentElement.style.scrollBehavior = 'auto'; {before}.scrollIntoView({{block: 'center'}})"
    )
    left, top, width, height = browser.evaluate(place_of(before))
    for kind in ("mousePressed", "mouseReleased"):
        browser.send(
            "Input.dispatchMouseEvent",
            type=kind,
            x=left + 2.5 / 8 * width,
            y=top + 4.5 / 6 * height,
            button="left",
            clickCount=1,
        )
    assert browser.evaluate("document.querySelector('.features').dataset.shows") == "likeness"
    vectors = np.load(folder / "pictures" / "1_0_sum.npy").astype(float)

    def check(y, x):
        for which, of_side in zip((before, after), vectors, strict=True):
            columns, rows, *pixels = browser.evaluate(canvas_of(which))
            shown = np.array(pixels).reshape(rows, columns, 4)
            assert (shown[..., 3] == 255).all()
            assert np.abs(shown[..., :3] - likeness(of_side, y, x)).max() <= 2
            assert np.abs(shown[..., :3] - likeness(of_side, 1, 6)).max() > 60, "not those of another place"

    check(4, 2)
    browser.evaluate(f"{after}.focus()")
    browser.press("ArrowRight")
    browser.press("ArrowDown")
    check(5, 3)
    marks = (
        "[...document.querySelectorAll('#c1-features .sample')[1].querySelectorAll('.mark')].map(mark => mark.hidden)"
    )
    assert not any(browser.evaluate(marks))
    said = "document.querySelectorAll('.readout')[{}].textContent"
    assert "before fusions.0, both added" in browser.evaluate(said.format(1)) and browser.evaluate(said.format(0)) == ""
    assert browser.complaints() == [] and len(browser.requests()) == 1


def test_another_map_can_be_chosen(browser, folder):
    browser.open(write_report([folder], folder / "report.html"))
    views = "[...document.querySelectorAll('.sample:first-of-type .view')]"
    visible = f"{views}.filter(e => e.checkVisibility()).map(e => e.textContent.trim())"
    assert browser.evaluate(visible) == ["image", "before fusions.0, both added", "after fusions.0, both added"]
    browser.evaluate("document.querySelector('.features input[value=likeness]').click()")
    choose = "(s => { s.value = '0'; s.dispatchEvent(new Event('change')) })(document.querySelector('.choose-map'))"
    browser.evaluate(choose)
    assert browser.evaluate(visible) == ["image", "before fusions.1, coarse map", "after fusions.1, coarse map"]
    columns, rows, *pixels = browser.evaluate(canvas_of("document.querySelector('.chosen .spot')"))
    vectors = np.load(folder / "pictures" / "0_1_coarse.npy").astype(float)[0]
    assert np.abs(np.array(pixels).reshape(rows, columns, 4)[..., :3] - likeness(vectors, 3, 4)).max() <= 2
    outlines = "document.querySelector('.outlines').checkVisibility()"
    assert browser.evaluate(outlines)
    browser.evaluate("document.querySelector('.show-outlines').click()")
    assert not browser.evaluate(outlines)
    browser.evaluate("document.querySelector('.features input[value=colours]').click()")
    assert not browser.evaluate("document.querySelector('.chosen canvas').checkVisibility()")
    assert browser.complaints() == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_in_a_browser(browser, folder, make_comparison, tmp_path, width, dark):
    other = make_comparison(tmp_path / "other", seeds=1)
    browser.open(write_report([other, folder], tmp_path / "page.html"), width=width, dark=dark)
    browser.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    spots = "[...document.querySelectorAll('.spot')].filter(e => e.checkVisibility()).map(e => e.offsetWidth)"
    assert min(browser.evaluate(spots)) > 120, "large enough to be hit"
    browser.evaluate("document.querySelectorAll('#c2-maps thead th')[1].firstChild.click()")
    names = "[...document.querySelectorAll('#c2-maps tbody th')].map(th => th.textContent)"
    assert browser.evaluate(names)[0].startswith("fusions.0"), "the highest accuracy after on top"
    assert browser.complaints() == [] and len(browser.requests()) == 1
