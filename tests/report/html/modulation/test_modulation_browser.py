# SPDX-License-Identifier: Apache-2.0
"""The part of the page about modulation in a browser, together with others and alone."""

import pytest

from dealias.report.html import write_report


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_in_a_browser(browser, folder, make_comparison, tmp_path, width, dark):
    other = make_comparison(tmp_path / "other", seeds=1)
    browser.open(write_report([other, folder], tmp_path / "page.html"), width=width, dark=dark)
    browser.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    views = "[...document.querySelectorAll('.stage-views img')].map(e => [e.offsetWidth, e.offsetHeight])"
    shown = browser.evaluate(views)
    assert len(shown) == 2 * 8 and min(across for across, _ in shown) > 100
    assert all(abs(across / down - 4 / 3) < 0.05 for across, down in shown), "all in the shape of the image"
    curves = "[...document.querySelectorAll('.modulation-spectra:first-of-type .curve')]"
    assert len({*browser.evaluate(f"{curves}.map(e => getComputedStyle(e).stroke)")}) == 4, "they can be told apart"
    names = "[...document.querySelectorAll('#c2-stages .sortable tbody th')].map(th => th.firstChild.data)"
    head = "document.querySelectorAll('#c2-stages .sortable thead th')[1].firstChild"
    for first in ("layer2.", "layer3."):
        browser.evaluate(f"{head}.click()")
        assert browser.evaluate(names)[0] == first, "the least power beyond the limit on top, then the most"
    assert browser.complaints() == [] and len(browser.requests()) == 1
