# SPDX-License-Identifier: Apache-2.0
import base64
import io
import re
import socket
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from dealias.report.html import write_report
from dealias.report.html.errors import ERROR_KINDS, error_kinds
from dealias.report.pictures import load_pictures

VARIANTS = ("bilinear", "carafe", "freqfusion", *(f"a long name number {number}" for number in range(12)))


@pytest.fixture(scope="module")
def file(make_comparison, tmp_path_factory):
    folder = make_comparison(tmp_path_factory.mktemp("browsed") / "out", seeds=2)
    return write_report([folder], folder / "report.html")


@pytest.fixture
def page(browser, file):
    """The page, freshly opened; afterwards nothing may have been complained about or asked for."""
    browser.open(file)
    yield browser
    browser.evaluate("new Promise((done) => setTimeout(done, 50))")
    assert browser.complaints() == []
    assert browser.requests() == [file.as_uri()]


def pixel(browser, x, y):
    """The colour of a point of the page."""
    clip = {"x": x, "y": y, "width": 1, "height": 1, "scale": 1}
    data = browser.send("Page.captureScreenshot", format="png", clip=clip)["data"]
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").getpixel((0, 0))


def first_column(browser):
    return browser.evaluate(
        "[...document.querySelectorAll('#c1-scores tbody th')].map(th => th.firstChild.data.trim())"
    )


def test_headings_sort_by_click_and_keyboard(page):
    assert first_column(page) == ["bilinear", "carafe", "freqfusion"]
    header = "document.querySelectorAll('#c1-scores thead th')"

    def values(column):
        return page.evaluate(
            f"[...document.querySelectorAll('#c1-scores tbody tr')].map(row => +row.cells[{column}].dataset.value)"
        )

    page.evaluate(f"{header}[1].firstChild.click()")
    assert values(1) == sorted(values(1), reverse=True) and first_column(page)[0] == "freqfusion"
    assert page.evaluate(f"{header}[1].getAttribute('aria-sort')") == "descending"
    page.evaluate(f"{header}[4].firstChild.focus()")
    page.press("Enter")
    assert values(4) == sorted(values(4))  # errors: the smallest is the best
    page.press(" ")
    assert values(4) == sorted(values(4), reverse=True)
    assert (
        page.evaluate(f"[...{header}].map(th => th.getAttribute('aria-sort'))")
        == [None] * 4 + ["descending"] + [None] * 5
    )
    page.evaluate(f"{header}[0].firstChild.click()")
    assert first_column(page) == ["bilinear", "carafe", "freqfusion"]


def test_slider_moves_the_divider_by_keyboard_and_pointer(page):
    stage = "document.querySelector('.stage')"
    page.evaluate(
        f"{stage}.querySelector('input').focus(); {stage}.scrollIntoView({{behavior: 'instant', block: 'center'}})"
    )
    clip = f"getComputedStyle({stage}.querySelector('[data-side=right]')).clipPath"
    assert page.evaluate(clip) == "inset(0px 0px 0px 50%)"
    page.press("ArrowRight")
    assert page.evaluate(clip) == "inset(0px 0px 0px 51%)"
    text = page.evaluate(f"{stage}.querySelector('input').getAttribute('aria-valuetext')")
    assert text == "51 % bilinear, 49 % freqfusion"
    box = page.evaluate(f"(({{x, y, width, height}}) => [x, y, width, height])({stage}.getBoundingClientRect())")
    x, y = box[0] + 0.25 * box[2], box[1] + 0.5 * box[3]
    for kind in ("mousePressed", "mouseReleased"):
        page.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    assert page.evaluate(f"Math.abs(parseFloat({stage}.style.getPropertyValue('--split')) - 25)") <= 1


def test_both_sides_show_what_is_chosen(page):
    page.evaluate("document.querySelector('.stage').scrollIntoView({behavior: 'instant', block: 'center'})")
    sources = (
        "[...document.querySelectorAll('.sample:first-of-type .pane')].map(pane => pane.querySelector('.labels')?.src)"
    )
    tile = "document.querySelector('.sample .tile[data-key={}]').querySelector('.labels').src"
    assert page.evaluate(sources) == [page.evaluate(tile.format("v0")), page.evaluate(tile.format("v2"))]
    page.evaluate("document.querySelector('.sample .tile[data-key=v1] button').click()")
    assert page.evaluate(sources)[1] == page.evaluate(tile.format("v1"))
    page.evaluate("document.querySelector('.swap').click()")
    assert page.evaluate(sources) == [page.evaluate(tile.format("v1")), page.evaluate(tile.format("v0"))]
    select = "document.querySelector('select[data-side=left]')"
    page.evaluate(f"{select}.value = 'image'; {select}.dispatchEvent(new Event('change'))")
    assert (
        page.evaluate("[...document.querySelectorAll('.badge.left')].map(badge => badge.textContent)") == ["image"] * 3
    )
    visible = "filter(image => image.checkVisibility()).map(image => image.className)"
    shown = f"[...document.querySelectorAll('.stage [data-side=right] img')].{visible}"
    assert {*page.evaluate(shown)} == {"base", "labels"}
    page.evaluate("document.querySelector('.modes input[value=errors]').click()")
    assert {*page.evaluate(shown)} == {"base", "errors"}


def test_errors_lie_upon_the_image(page, file):
    sample = load_pictures(file.parent / "runs" / "freqfusion-seed0" / "pictures").samples[0]
    kinds = error_kinds(sample.prediction, sample.truth, 255, 3)
    y, x = next((y, x) for y, x in np.argwhere(kinds) if x > 0.6 * kinds.shape[1] and abs(y - 24) > 8)
    page.evaluate("document.querySelector('.modes input[value=errors]').click()")
    stage = "document.querySelector('.stage')"
    page.evaluate(f"{stage}.scrollIntoView({{behavior: 'instant', block: 'center'}})")
    place = "(({x, y, width}) => [x + scrollX, y + scrollY, width])"
    left, top, width = page.evaluate(f"{place}({stage}.getBoundingClientRect())")
    pitch = width / kinds.shape[1]
    assert pixel(page, left + (x + 0.5) * pitch, top + (y + 0.5) * pitch) == ERROR_KINDS[kinds[y, x] - 1].colour


def test_theme_follows_the_system_until_it_is_chosen(browser, file):
    def paper():
        return pixel(browser, 3, 400)

    browser.open(file, dark=True)
    browser.evaluate("localStorage.clear()")
    browser.open(file, dark=True)
    assert max(paper()) < 40
    browser.open(file)
    assert min(paper()) > 230
    browser.evaluate("document.getElementById('theme').click()")
    assert max(paper()) < 40
    assert browser.evaluate("document.getElementById('theme').getAttribute('aria-pressed')") == "true"
    browser.open(file)
    assert max(paper()) < 40  # remembered
    browser.evaluate("document.getElementById('theme').click(); localStorage.clear()")
    assert min(paper()) > 230 and browser.complaints() == []


def test_chips_hide_lines_in_every_chart(page):
    hidden = "[...document.querySelectorAll('.line[data-series=\"1\"]')].map(line => getComputedStyle(line).display)"
    assert page.evaluate(hidden) == ["inline"] * 2
    page.evaluate("document.querySelector('.chip[data-series=\"1\"]').click()")
    assert page.evaluate(hidden) == ["none"] * 2
    assert page.evaluate("document.querySelector('.chip[data-series=\"1\"]').getAttribute('aria-pressed')") == "false"


def test_copying_gives_the_text_or_selects_it(page):
    page.evaluate("document.querySelector('.recipe').open = true")
    page.evaluate("document.querySelector('.copy').focus()")
    page.press("Enter")
    said = page.evaluate(
        "new Promise((done) => setTimeout(() => done(document.querySelector('.copy').textContent), 100))"
    )
    assert said in ("Copied", "Selected")
    if said == "Selected":
        assert page.evaluate("getSelection().toString()") == "dealias compare --data 'a b'"


def test_other_variants_can_be_ranked(page):
    chosen = "[...document.querySelectorAll('.choice')].filter(table => table.checkVisibility()).map(table => table.id)"
    assert page.evaluate(chosen) == ["c1-ranks-3"]
    page.evaluate(
        "(s => { s.selectedIndex = 0; s.dispatchEvent(new Event('change')) })(document.querySelector('.choose-table'))"
    )
    assert page.evaluate(chosen) == ["c1-ranks-1"]


@pytest.mark.parametrize("width", [1280, 400])
def test_fifteen_variants_fit_the_window(browser, make_comparison, tmp_path, width):
    folder = make_comparison(tmp_path / "many", variants=VARIANTS, seeds=1)
    browser.open(write_report([folder], folder / "report.html"), width=width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    controls = "[...document.querySelectorAll('button, select, summary')].filter(e => e.checkVisibility())"
    heights = f"{controls}.map(e => e.getBoundingClientRect().height)"
    assert min(browser.evaluate(heights)) >= 24  # large enough for a finger
    cut = "[...document.querySelectorAll('.bars .name')].filter(e => e.getBBox().x < -1).map(e => e.textContent)"
    assert browser.evaluate(cut) == [] and browser.complaints() == []


@pytest.mark.parametrize("width", [1280, 400])
def test_a_single_run_fits_the_window_and_leads_to_its_worst_image(browser, make_run, tmp_path, width):
    browser.open(write_report([make_run(tmp_path / "run")], tmp_path / "page.html"), width=width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    link = "[...document.querySelectorAll('#c1-images nav a')].find(a => a.textContent == 'lowest mIoU')"
    browser.evaluate(f"document.documentElement.style.scrollBehavior = 'auto'; {link}.click()")
    place = "document.getElementById('c1-image-3').getBoundingClientRect().top"
    controls = "document.querySelector('.controls').getBoundingClientRect().bottom"
    assert 0 <= browser.evaluate(f"{place} - {controls}") < 300, "below what stays on top"
    sides = "[...document.querySelectorAll('.badge')].slice(0, 2).map(badge => badge.textContent)"
    assert browser.evaluate(sides) == ["ground truth", "run"] and browser.complaints() == []


@pytest.mark.parametrize("policy", [True, False])
def test_only_the_policy_keeps_the_page_from_the_network(browser, file, tmp_path, policy):
    text = file.read_text(encoding="utf-8")
    copy = tmp_path / "page.html"
    copy.write_text(text if policy else re.sub(r"<meta http-equiv[^>]*>", "", text), encoding="utf-8")
    browser.open(copy)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3 if policy else 10)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.png"
        browser.evaluate(f"document.body.append(Object.assign(new Image(), {{src: '{address}'}}))")
        with pytest.raises(TimeoutError) if policy else nullcontext():
            server.accept()[0].close()
    browser.open(file)
