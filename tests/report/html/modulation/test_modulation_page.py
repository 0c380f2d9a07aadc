# SPDX-License-Identifier: Apache-2.0
"""The part of the page about modulation, from made-up numbers."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from dealias.report.html import write_report
from dealias.report.html.modulation import load_modulation
from dealias.report.html.modulation.spectra import HEIGHT, LEFT, TOP, WIDTH

TIMES, MINUS = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}"


def test_the_page_has_the_numbers(folder):
    section = load_modulation(folder)
    assert section.chapter.title == "Modulation in net & <co>" and section.within == "net"
    first, second = section.stages
    assert (first.name, second.name, first.grid) == ("layer2.0", "layer3.<&>", f"12 {TIMES} 16 → 6 {TIMES} 8")
    changes = [(cell.before, cell.after, cell.change, cell.verdict) for cell in first.changes]
    assert changes == [
        ("20.0", "10.0", f"{MINUS}10.0", "better"),
        ("30.0", "20.0", f"{MINUS}10.0", "better"),
        (f"{MINUS}10.0", "40.0", "+50.0", "better"),
    ]
    assert first.places == (("2.00", 2.0), ("1.20", 1.2))
    details = dict(section.details)
    assert details["fine detail kept, without modulation, %"] == (f"{MINUS}10.0 ± 1.0",) * 2
    assert details["density at boundaries"] == ("1.20 ± 0.01", "1.10 ± 0.01")
    assert section.sentences[0] == (
        "At layer2.0, modulation lowers frequencies: 10.0 % instead of 20.0 % of the power is too fine for the stride "
        "that follows."
    )
    assert section.sentences[2] == (
        "Samples are 1.20 times as dense along boundaries between labels as on average and 1.10 at layer3.<&>."
    )


def test_curves_lie_where_the_shares_are(folder):
    chart = load_modulation(folder).spectra[0]
    numbers = [np.array(re.findall(r"[\d.]+", path), float).reshape(-1, 2) for _, path in chart.lines]
    curves = json.loads((folder / "modulation.json").read_text())["stages"][0]["spectra"]
    lowest = -4
    for points, name in zip(numbers, ("before", "modulated", "demodulated", "plain"), strict=True):
        np.testing.assert_allclose(points[:, 0], LEFT + WIDTH * (np.arange(16) + 0.5) / 16, atol=0.1)
        np.testing.assert_allclose(points[:, 1], TOP + HEIGHT * np.log10(curves[name]) / lowest, atol=0.1)
    assert chart.limit == LEFT + WIDTH / 2 and [text for _, text in chart.y_ticks][-1] == "0.01 %"


def test_pictures_are_the_files(folder):
    (image,) = load_modulation(folder).images
    assert [stage.name for stage in image.stages] == ["layer2.0", "layer3.<&>"]
    views = image.stages[1].views
    names = ("attention", "points", "before", "modulated", "sampled", "demodulated", "plain")
    for view, name in zip(views, names, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(view.picture.partition(",")[2]))).convert("RGB"))
        np.testing.assert_array_equal(shown, np.asarray(Image.open(folder / "pictures" / f"1_{name}.png")))
    assert [view.detail for view in views][:3] == ["white: 2.5 times its mean", "one sample of 2 x 2", f"12 {TIMES} 16"]


def test_what_is_known_decides_what_is_said(make_modulation, tmp_path):
    page = write_report([make_modulation(tmp_path / "a", "random", labelled=False)], tmp_path / "a.html").read_text()
    assert "Random weights." in page and "density at boundaries" not in page and "Samples are" not in page
    page = write_report([make_modulation(tmp_path / "b", gains=(0, 0), flips=1.5)], tmp_path / "b.html").read_text()
    assert "The modulations do nothing" in page and "layer2.0 (1.5 triangles per image)" in page
    assert "layer3.&lt;&amp;&gt;" in page and "<&>" not in page
    worse = load_modulation(make_modulation(tmp_path / "c", gains=(-0.1, 0.1)))
    assert "raises frequencies" in worse.sentences[0] and worse.stages[0].changes[0].verdict == "worse"


BROKEN = {
    "no stages": (lambda data: data.update(stages=[]), "modulation.json", "no stages"),
    "a key": (lambda data: data["stages"][0].pop("lost"), "modulation.json", "'lost' is missing"),
    "a word": (lambda data: data["stages"][0]["lost"]["plain"].update(mean="much"), "modulation.json", "'much'"),
    "a curve": (lambda data: data["stages"][0]["spectra"]["plain"].pop(), "modulation.json", "wrong sizes"),
    "another stage": (lambda data: data["pictures"][0]["stages"][0].update(name="x"), "modulation.json", "'x'"),
    "a file": (lambda data: data["pictures"][0].update(image="pictures/no.png"), "no.png", "No such file"),
    "outside": (lambda data: data["pictures"][0].update(image="../../x.png"), "modulation.json", "not a file inside"),
}


@pytest.mark.parametrize(("change", "file", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_named(folder, change, file, message):
    path = folder / "modulation.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=rf"{re.escape(file)}.*{message}"):
        write_report([folder], folder / "report.html")
    assert not (folder / "report.html").exists()
