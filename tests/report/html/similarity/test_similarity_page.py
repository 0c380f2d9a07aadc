# SPDX-License-Identifier: Apache-2.0
"""The part of the page about the similarity of features, from made-up numbers."""

import base64
import json
import re

import numpy as np
import pytest

from dealias.analysis import ClassSimilarity, FeatureSimilarity
from dealias.report.html import write_report
from dealias.report.html.similarity import load_similarity
from dealias.report.html.similarity.charts import DOT_LEFT, DOT_WIDTH, HEIGHT, LEFT, TOP, WIDTH

REACH = 4


def text_of(file):
    return re.sub(r"\s+", " ", re.sub(r"<(style|script).*?</\1>|<[^>]*>", "", file.read_text(), flags=re.DOTALL))


def test_what_matters_is_said_in_words(folder):
    text = text_of(write_report([folder], folder / "report.html"))
    assert "Features of net &amp; &lt;co&gt;" in text and "8 of 20 images of some" in text
    accuracy = 100 * np.mean([0.5 + 0.2, 0.5 + 0.2 / 3])
    assert f"After fusions.0, {accuracy:.1f} % of the pixels near edges look like their own class" in text
    assert "with bilinear upsampling of the same features it would be 50.0 %" in text
    assert "Most is gained for ground (+20.0 points)." in text and "Accuracy falls" not in text
    assert "All layers are in net.path, which is left out" in text and "net.idle: no image passed it." in text
    assert "Not counted: pole &amp; &lt;co&gt;. It is not in these images" in text and "Random weights" not in text
    assert "87.6" not in text and "88 % of the power" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gains": (0.0, 0.0)}, "as many as before. What is compared with is bilinear upsampling"),
        ({"gains": (0.0, -0.1)}, "Accuracy falls for ground and sign."),
        ({"fused": False, "weights": "random"}, "Random weights. This network was not trained"),
        ({"fused": False}, "At fusions.0, 63.3 % of the pixels near edges look like their own class."),
    ],
)
def test_other_outcomes(make_similarity, tmp_path, options, words):
    folder = make_similarity(tmp_path / "out", **options)
    assert words in text_of(write_report([folder], folder / "report.html"))


def test_tables_have_the_numbers_before_and_after(folder, similarity_entry):
    section = load_similarity(folder)
    assert [(row.layer, row.map) for row in section.maps] == [
        (f"fusions.{level}", name) for level in (1, 0) for name in ("coarse map", "both added")
    ]
    accuracy, displacement, margin, _, inter = section.maps[-1].cells
    assert (accuracy.before, accuracy.after, accuracy.change, accuracy.verdict) == ("50.0", "63.3", "+13.3", "better")
    assert (margin.before, margin.after, margin.verdict) == ("0.400", "0.600", "better")
    assert (inter.change, inter.verdict) == ("\N{MINUS SIGN}0.200", "better"), "centres apart are better"
    before, after = (
        FeatureSimilarity(1, (ClassSimilarity(0, 1, 0, 0, 0, tuple(similarity_entry(g)["profile"])),)) for g in (0, 0.2)
    )
    assert (displacement.before, displacement.after) == (f"{before.displacement:.2f}", f"{after.displacement:.2f}")
    last, first = section.layers
    assert (last.layer, last.summary) == ("fusions.0", "both added: 50.0 → 63.3 %")
    assert [(row.name, row.images) for row in last.classes] == [("ground", 7), ("sign", 5)]
    assert first.classes[1].cells[0].before == "", "not there before"


def test_numbers_become_lengths(folder):
    part = load_similarity(folder).layers[0]
    ground, sign = part.accuracy.rows
    assert (ground.before, ground.after) == pytest.approx(
        (DOT_LEFT + 0.5 * DOT_WIDTH, DOT_LEFT + 0.7 * DOT_WIDTH), abs=0.1
    )
    assert ground.is_better and sign.text == "50 → 57"
    points = [tuple(map(float, pair.split())) for pair in re.findall(r"[\d.]+ [\d.]+", part.profile.after)]
    assert len(points) == 2 * REACH and part.profile.middle == LEFT + WIDTH / 2
    assert points[0] == (pytest.approx(LEFT + WIDTH / (4 * REACH), abs=0.1), TOP), "all pixels deep inside"
    assert points[-1] == (pytest.approx(LEFT + WIDTH * (1 - 1 / (4 * REACH)), abs=0.1), TOP + HEIGHT)


BROKEN = {
    "no maps": (lambda data: data.update(maps=[]), "similarity.json", "no maps"),
    "a key": (lambda data: data["maps"][0]["after"].pop("classes"), "similarity.json", "'classes' is missing"),
    "a word": (lambda data: data["maps"][0]["after"]["classes"][0].update(intra="much"), "similarity.json", "'much'"),
    "elsewhere": (
        lambda data: data["pictures"][0]["maps"][0].update(vectors="../secret.npy"),
        "similarity.json",
        r"\.\./secret\.npy is not a file inside the folder",
    ),
    "no vectors": (
        lambda data: data["pictures"][0]["maps"][0].update(vectors="pictures/image.png"),
        "image.png",
        "",
    ),
    "one side": (
        lambda data: data["pictures"][0]["maps"][0].update(before=None),
        "0_1_coarse.npy",
        r"expected int8 \[1, directions, h, w\], found int8 \(2, 5, 6, 8\)",
    ),
    "no picture": (
        lambda data: data["pictures"][0].update(labels="pictures/0_1_coarse.npy"),
        "0_1_coarse.npy",
        "cannot identify image",
    ),
}


@pytest.mark.parametrize(("damage", "file", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_named(folder, damage, file, message):
    path = folder / "similarity.json"
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=rf"{re.escape(file)} is not an? [\w ]+ as expected: .*{message}"):
        write_report([folder], folder / "report.html")
    assert not (folder / "report.html").exists()


def test_vectors_are_in_the_page_as_they_are(folder):
    pair = load_similarity(folder).features.samples[0].pairs[0]
    data = np.frombuffer(base64.b64decode(pair.sides[1].vectors), np.int8).reshape(
        *map(int, pair.sides[1].shape.split(","))
    )
    np.testing.assert_array_equal(data, np.load(folder / "pictures" / "0_1_coarse.npy")[1])
