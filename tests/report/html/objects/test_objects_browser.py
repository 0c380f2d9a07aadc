# SPDX-License-Identifier: Apache-2.0
import pytest

from dealias.report.html import write_report


@pytest.fixture(scope="module")
def file(make_objects, tmp_path_factory):
    root = tmp_path_factory.mktemp("browsed")
    runs = [make_objects(root / name, things=80, stuff=53, gain=gain) for name, gain in (("first", 0), ("second", 0.1))]
    return write_report([*runs, make_objects(root / "boxes", stuff=0, masks=False)], root / "page.html")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_in_a_browser(browser, file, width, dark):
    browser.open(file, width=width, dark=dark)
    browser.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    strokes = "[...document.querySelectorAll('#c1-precision .mean')].slice(0, 2).map(e => getComputedStyle(e).stroke)"
    paper = "getComputedStyle(document.querySelector('#c1-precision .card')).backgroundColor"
    assert len({*browser.evaluate(strokes), browser.evaluate(paper)}) == 3, "lines are told apart and seen"
    assert len(browser.evaluate("[...document.querySelectorAll('#c1-classes .card')].map(e => e.offsetHeight)")) == 131
    assert browser.complaints() == [] and browser.requests() == [file.as_uri()]


def test_tables_sort_and_chips_hide_lines(browser, file):
    browser.open(file)
    names = "[...document.querySelectorAll('#c1-scores table')[1].tBodies[0].rows].map(r => r.cells[0].textContent)"
    assert browser.evaluate(names) == ["first", "second"]
    browser.evaluate("document.querySelectorAll('#c1-scores table')[1].tHead.rows[0].cells[1].firstChild.focus()")
    browser.press("Enter")
    assert browser.evaluate(names) == ["second", "first"], "the best on top"
    lines = "[...document.querySelectorAll('#c1 .line[data-series=\"1\"]')]"
    assert len(browser.evaluate(f"{lines}.map(e => e.tagName)")) == 6 + 2, "in curves of precision and of training"
    browser.evaluate("document.querySelectorAll('#c1-precision .chip')[1].focus()")
    browser.press(" ")
    assert browser.evaluate(f"{lines}.every(e => e.hasAttribute('hidden'))")
    assert browser.complaints() == []


def test_the_slider_and_the_errors(browser, file):
    browser.open(file)
    stage = "document.querySelector('.stage')"
    browser.evaluate(f"{stage}.querySelector('input').focus()")
    browser.press("ArrowRight")
    assert browser.evaluate(f"getComputedStyle({stage}.querySelector('[data-side=right]')).clipPath").endswith("51%)")
    text = f"{stage}.querySelector('input').getAttribute('aria-valuetext')"
    assert browser.evaluate(text) == "51 % first, 49 % second"
    shown = f"[...{stage}.querySelectorAll('[data-side=right] img')].filter(e => e.offsetWidth).at(-1).src"
    tile = "document.querySelector('.tile[data-key=v1]')"
    assert browser.evaluate(f"{shown} === {tile}.querySelector('.labels').src")
    browser.evaluate("document.querySelector('.modes input[value=errors]').click()")
    assert browser.evaluate(f"{shown} === {tile}.querySelector('.errors').src")
    browser.evaluate("document.querySelector('.tile[data-key=truth] button').click()")
    assert browser.evaluate(f"{shown} === document.querySelector('.tile[data-key=truth] .labels').src")
    boxes = "document.querySelector('#c2-images')"
    assert browser.evaluate(f"getComputedStyle({boxes}.querySelector('.modes')).display") == "none"
    assert browser.evaluate(f"{boxes}.querySelector('[data-side=right] .labels').offsetWidth") > 0, (
        "without errors, too"
    )
    assert browser.complaints() == []
