# SPDX-License-Identifier: Apache-2.0
"""The part of the page about aliasing, from made-up numbers."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from dealias.analysis import correlate
from dealias.report.html import write_report
from dealias.report.html.aliasing import load_section
from dealias.report.html.aliasing.document import load_document
from dealias.report.html.aliasing.spectra import HEIGHT, LEFT, TOP, WIDTH, heat_colours

NAMES = ("net.stem", "net.pool", "net.<odd> & 'long'.name.of.a.layer.somewhere.deep.within", "net.filtered")
LIMITS = (0.6, 0.25, 0.3535, 0.25)
SCORES = (0.0, 0.2, 0.05, 1e-9)
IMAGES = 8


def layer(position):
    rings = np.geomspace(0.5, 1e-4, 32)
    y, x = np.mgrid[-16:17, -16:17]
    scores = [SCORES[position] * (1 + 0.1 * (number - 3.5)) for number in range(IMAGES)]
    return {
        "name": NAMES[position],
        "kind": ("convolution", "max pool", "PatchMerging", "average pool")[position],
        **{"kernel": 3, "stride": 2, "in_channels": 8, "out_channels": 16, "images": IMAGES},
        **{"rate": 2 * LIMITS[position], "nyquist": LIMITS[position], "score": SCORES[position], "score_std": 0.01},
        "frequencies": [(n + 0.5) / 64 for n in range(32)],
        "radial_power": (rings / rings.sum()).tolist(),
        "spectrum": (1 / (1 + x**2 + y**2)).tolist(),
        "image_scores": scores,
    }


def correlations(layers, images):
    entries = []
    for metric in ("FErr", "MErr", "DErr"):
        errors = [np.nan if image["errors"][metric] is None else image["errors"][metric] for image in images]
        mean = np.mean([layers[1]["image_scores"], layers[2]["image_scores"]], 0).tolist()
        entries.append({"layer": None, "metric": metric, **vars(correlate(mean, errors))})
    return entries


@pytest.fixture(scope="module")
def make_analysis():
    def make(folder, weights="random", labelled=True):
        (folder / "pictures").mkdir(parents=True)
        random = np.random.default_rng(0)
        layers = [layer(position) for position in range(len(NAMES))]
        images = [{"name": f"image {n}", "errors": None} for n in range(IMAGES)]
        for n, image in enumerate(images if labelled else ()):
            scattered = None if n == 2 else float(0.5 + 0.1 * random.random())
            image["errors"] = {"FErr": 0.3 + 0.01 * n, "MErr": 0.6 - 0.02 * n, "DErr": scattered}
        pixels = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        levels = np.zeros((15, 20), np.uint8)
        levels[:, 10:] = 255
        Image.fromarray(pixels).save(folder / "pictures" / "000_image.png")
        Image.fromarray(levels).save(folder / "pictures" / "000_map0.png")
        maps = [{"layer": NAMES[1], "file": "pictures/000_map0.png", "top": 3.0}]
        data = {
            "network": {"name": "net & <co>", "source": "net", "weights": weights},
            "data": {"source": "some", "images": IMAGES, "of": 20},
            "settings": {"size": None, "band": None, "layers": None},
            "environment": {"versions": {"dealias": "0.1.0"}, "command": "dealias analyze --timm net", "device": "cpu"},
            **{"layers": layers, "unused": ["idle"], "unmeasured": ["hidden"], "images": images},
            "correlations": correlations(layers, images) if labelled else [],
            "pictures": [{"name": "image 3", "image": "pictures/000_image.png", "maps": maps}],
        }
        (folder / "analysis.json").write_text(json.dumps(data))
        return folder

    return make


@pytest.fixture
def folder(make_analysis, tmp_path):
    return make_analysis(tmp_path / "out")


def text_of(file):
    return re.sub(r"\s+", " ", re.sub(r"<(style|script).*?</\1>|<[^>]*>", "", file.read_text(), flags=re.DOTALL))


def test_what_matters_is_said_in_words(folder):
    text = text_of(write_report([folder], folder / "report.html"))
    assert "Aliasing in net &amp; &lt;co&gt;" in text and "random weights" in text and "8 of 20 images of some" in text
    assert "Aliasing is strongest at pool: 20.0 % of the power" in text
    assert "The mean over the 2 layers that lose something is 12.5 %" in text
    assert "1 layer can keep everything" in text and "At 1 layer nothing arrives beyond the limit" in text
    assert "idle: no image passed it." in text and "hidden: it makes maps smaller" in text
    assert "All layers are in net, which is left out of their names." in text
    assert "Images with more aliasing have more false responses (FErr, r = 1.00)." in text
    assert "Images with more aliasing have fewer merging mistakes (MErr, r = \N{MINUS SIGN}1.00)." in text
    assert "For DErr these images show no connection" in text


def test_without_labels_and_with_trained_weights_nothing_is_said_of_errors(make_analysis, tmp_path):
    folder = make_analysis(tmp_path / "out", weights="pretrained", labelled=False)
    text = text_of(write_report([folder], folder / "report.html"))
    assert "Does it matter" not in text and "Random weights" not in text


def test_numbers_become_lengths(folder):
    section = load_section(folder)
    assert [row.score for row in section.layers] == ["0.0", "20.0", "5.0", "0.0"]
    assert [row.noise for row in section.layers] == ["0", "75", "50", "75"]
    assert [row.kernel for row in section.layers] == ["3", "3", "\N{EN DASH}", "3"]
    stem, pool = section.spectra[:2]
    assert stem.limit is None and stem.folded == "" and pool.limit == LEFT + WIDTH / 2
    corners = [tuple(map(float, pair.split())) for pair in re.findall(r"[\d.]+ [\d.]+", pool.folded)]
    assert min(x for x, _ in corners) == pool.limit and max(y for _, y in corners) == TOP + HEIGHT
    assert pool.frame == (0.25, 0.5)
    levels = np.asarray(decoded(pool.picture).convert("RGB")).sum(-1)
    assert levels.shape == (33, 33) and levels[16, 16] == levels.max()


def decoded(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_maps_lie_upon_the_image(folder):
    shown = load_section(folder).images[0]
    heat = shown.maps[0]
    assert (shown.name, heat.layer) == ("image 3", "pool")
    assert heat.score == f"{100 * 0.2 * (1 + 0.1 * (3 - 3.5)):.1f}"
    pixels = np.asarray(decoded(heat.picture).convert("RGB")).astype(int)
    grey = np.asarray(decoded(shown.picture).convert("L"))
    np.testing.assert_allclose(pixels[:, :15], np.repeat(0.4 * grey[:, :15, None], 3, -1), atol=1)
    assert (pixels[:, 25:] == heat_colours()[-1]).all()
    lightness = np.array(heat_colours()) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(lightness) > 0).all(), "more power is lighter everywhere"


def test_points_and_line_are_where_the_numbers_are(folder):
    document, section = load_document(folder), load_section(folder)
    chart = section.scatter[2]
    assert chart.title == "DErr: displacements" and len(chart.points) == IMAGES - 1, "one error is not known"
    known = [n for n in range(IMAGES) if n != 2]
    for values, axis, sign in ((document.mean_scores, 0, 1), (document.errors["DErr"], 1, -1)):
        expected, places = [values[n] for n in known], [sign * point[axis] for point in chart.points]
        assert np.corrcoef(expected, places)[0, 1] > 0.9999
    x, y = (np.array([point[axis] for point in chart.points]) for axis in (0, 1))
    slope, offset = np.polyfit(x, y, 1)
    for x_end, y_end in (chart.line[:2], chart.line[2:]):
        assert y_end == pytest.approx(offset + slope * x_end, abs=0.5)
    assert chart.points[2][2].startswith("image 3: score ")


BROKEN = {
    "no layers": (lambda data: data.update(layers=[]), "no layers"),
    "a key": (lambda data: data["layers"][0].pop("nyquist"), "'nyquist' is missing"),
    "a spectrum": (lambda data: data["layers"][1]["spectrum"][0].pop(), "spectra of 'pool' have wrong sizes"),
    "a word": (lambda data: data["layers"][1].update(score="much"), "'much'"),
    "a picture elsewhere": (
        lambda data: data["pictures"][0].update(image="../secret.png"),
        r"\.\./secret\.png is not a file inside the folder",
    ),
    "an unknown image": (lambda data: data["pictures"][0].update(name="image 99"), "'image 99', which is none"),
}


@pytest.mark.parametrize(("damage", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_named(folder, damage, message):
    path = folder / "analysis.json"
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} is not an analysis as expected: .*{message}"):
        write_report([folder], folder / "report.html")
    assert not (folder / "report.html").exists()


def test_a_missing_picture_is_named(folder):
    (folder / "pictures" / "000_map0.png").unlink()
    with pytest.raises(ValueError, match=r"000_map0\.png is not a picture as expected"):
        write_report([folder], folder / "report.html")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_in_a_browser(browser, folder, make_comparison, tmp_path, width, dark):
    other = make_comparison(tmp_path / "other", seeds=1)
    browser.open(write_report([other, folder], tmp_path / "page.html"), width=width, dark=dark)
    browser.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    names = "[...document.querySelectorAll('#c2-layers tbody th')].map(th => th.firstChild.data.trim())"
    header = "document.querySelectorAll('#c2-layers thead th')[1].firstChild"
    assert browser.evaluate(names)[:2] == ["stem", "pool"]
    browser.evaluate(f"{header}.click()")
    assert browser.evaluate(names)[0] == "pool", "the highest score on top"
    curves = "[...document.querySelectorAll('.spectrum .rings')].map(e => e.getBoundingClientRect().width)"
    assert min(browser.evaluate(curves)) > 200, "large enough to be read"
    assert browser.complaints() == [] and len(browser.requests()) == 1
