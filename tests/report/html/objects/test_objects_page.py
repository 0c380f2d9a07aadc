# SPDX-License-Identifier: Apache-2.0
"""The part of the page about runs on objects, from made-up numbers."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from dealias.report.html import write_report
from dealias.report.html.charts import BAR_WIDTH, LINE_HEIGHT, LINE_LEFT, LINE_TOP, LINE_WIDTH
from dealias.report.html.numbers import UNKNOWN
from dealias.report.html.objects import load_objects
from dealias.report.object_errors import OBJECT_ERRORS, draw_object_errors


@pytest.fixture(scope="module")
def finished(make_objects, tmp_path_factory):
    return make_objects(tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def read(folder):
    return json.loads((folder / "objects.json").read_text())


def percent(value):
    return UNKNOWN if value is None else f"{100 * value:.1f}"


def test_tables_have_the_numbers_of_the_file(folder):
    data, (section,) = read(folder), load_objects([folder])
    titles = ["Panoptic segments", "Masks", "Boxes"]
    assert [title for title, _ in section.tables] == titles
    for (_, table), key in zip(section.tables, ("panoptic", "mask", "box"), strict=True):
        names = [re.sub(" (things|stuffs)", r"_\1", column.name.removeprefix(f"{key} ")) for column in table.columns]
        costs = {"params M": "0.46", "s/step": "0.125", "steps": "40"} if key == "panoptic" else {}
        expected = [percent(data[key][name]) for name in names if name in data[key]] + [*costs.values()]
        assert [cell.text for cell in table.rows[0].cells] == expected and names[len(names) - len(costs) :] == [*costs]
        assert set(names) - {*costs} == {name for name in data[key] if not name.startswith(("class_", "precision"))}
        assert {name for name, _ in table.explanations} == {column.name for column in table.columns}
    scores = [percent(data[key][name]) for key, name in (("panoptic", "PQ"), ("mask", "AP"), ("box", "AP"))]
    assert section.sentences == (
        f"run reaches {scores[0]} % PQ on the validation images.",
        f"It also has {scores[1]} % mask AP and {scores[2]} % box AP.",
    )
    page = write_report([folder], folder / "page.html").read_text()
    assert all(f">{percent(data[key]['AP'])}<" in page for key in ("mask", "box"))


def test_curves_lie_where_the_precision_is(folder):
    data, (section,) = read(folder), load_objects([folder])
    assert [title for title, _ in section.precision] == ["Masks", "Boxes"]
    for (_, charts), key in zip(section.precision, ("mask", "box"), strict=True):
        for chart, overlap in zip(charts, ("0.50", "0.75", "mean"), strict=True):
            precision = data[key]["precision"][overlap]
            known = [
                (recall, value) for recall, value in zip(data["recalls"], precision, strict=True) if value is not None
            ]
            points = np.array(re.findall(r"[\d.]+", chart.lines[0].mean), float).reshape(-1, 2)
            recalls, values = np.array(known).T
            np.testing.assert_allclose(points[:, 0], LINE_LEFT + LINE_WIDTH * recalls, atol=0.06)
            np.testing.assert_allclose(points[:, 1], LINE_TOP + LINE_HEIGHT * (1 - values), atol=0.06)  # 0 to 100 %
            assert chart.y_ticks[-1][1] == "100", "all at one scale, whose highest curve starts at 90"
            assert f"run {percent(float(np.mean(values)))} %" in chart.description


def test_classes_are_sorted_and_those_that_are_absent_left_out(make_objects, tmp_path):
    folder = make_objects(tmp_path / "many", things=80, stuff=53)
    scores, (section,) = read(folder)["panoptic"]["class_PQ"], load_objects([folder])
    assert [bars.title for bars in section.classes] == ["Things", "Stuff"]
    for bars, known, kind in zip(section.classes, (scores[:79], scores[80:132]), ("thing", "stuff"), strict=True):
        order = sorted(range(len(known)), key=lambda position: -known[position])
        assert [chart.title.removesuffix(" & co") for chart in bars.charts] == [f"{kind} {number}" for number in order]
        widths = [chart.bars[0].width for chart in bars.charts]
        np.testing.assert_allclose(widths, [BAR_WIDTH * known[number] for number in order], atol=0.06)
    page = write_report([folder], tmp_path / "page.html").read_text()
    assert "The other 55 classes" in page and "The other 28 classes" in page and "Colours of the 133 classes" in page


def test_pictures_are_the_files_and_errors_are_counted(folder):
    (section,) = load_objects([folder])
    gallery = section.gallery
    assert gallery.rule == "2 of 9 images." and gallery.kinds == OBJECT_ERRORS and gallery.is_pixelated
    for number, sample in enumerate(gallery.samples):
        (prediction,) = sample.predictions
        uris = (sample.image, sample.truth, prediction.labels, prediction.errors)
        for uri, part in zip(uris, ("image", "truth", "prediction", "errors"), strict=True):
            shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
            np.testing.assert_array_equal(shown, np.asarray(Image.open(folder / f"pictures/{number:03}_{part}.png")))
        assert prediction.wrong == percent((12 * 16 + 6 * 64) / (48 * 64))
        assert prediction.shares == (percent(1 / 16), "0.0", "0.0", percent(1 / 8))
    page = write_report([folder], folder / "page.html").read_text()
    assert all(kind.sentence in page for kind in OBJECT_ERRORS) and "on the image<" not in page


def test_two_runs_share_the_page(make_objects, tmp_path):
    first, second = make_objects(tmp_path / "first"), make_objects(tmp_path / "second", gain=0.1)
    (section,) = load_objects([first, second])
    assert section.sentences[0].startswith("second has the highest PQ on the validation images: ")
    for _, table in section.tables:
        scored = [cell for cell in table.rows[1].cells if cell.text != UNKNOWN][:5]
        assert all(cell.is_best for cell in scored) and not any(cell.is_best for cell in table.rows[0].cells)
    assert [line.name for line in section.precision[0][1][0].lines] == ["first", "second"]
    assert section.gallery.variants == ("first", "second") and section.gallery.right == "second"
    assert [recipe.name for recipe in section.recipes] == ["first", "second"]
    other = make_objects(tmp_path / "other", stuff=0)
    assert len(load_objects([first, other, second])) == 2, "other classes are another part"
    page = write_report([first, other, second], tmp_path / "page.html").read_text()
    assert "Report in 2 parts" in page


def test_runs_with_and_without_masks_are_judged_by_their_boxes(make_objects, tmp_path):
    boxes, masks = (make_objects(tmp_path / name, stuff=0, masks=name == "masks") for name in ("boxes", "masks"))
    (section,) = load_objects([boxes, masks])
    assert [title for title, _ in section.tables] == ["Boxes", "Masks"]
    assert [cell.text for cell in section.tables[1][1].rows[0].cells] == [UNKNOWN] * 6
    assert section.class_score == ("box AP", "Average precision of the boxes")
    assert [chart.title for chart in section.classes[0].charts] == ["thing 0 & co", "thing 1 & co"]
    assert [prediction.errors == "" for prediction in section.gallery.samples[0].predictions] == [True, False]
    assert [line.series for line in section.precision[0][1][0].lines] == [1], "colours are those of the legend"


def test_comparisons_have_seeds_and_differences(make_objects_comparison, tmp_path):
    out = make_objects_comparison(tmp_path / "out", {"nearest": 0.0, "freqfusion": 0.05}, pictures=False)
    (section,) = load_objects([out])
    assert section.sentences[0] == (
        "freqfusion (+5.0 ± 0.0 points PQ) is better than the baseline, nearest, by more than the seeds spread."
    )
    assert section.sentences[2].startswith("Besides, freqfusion improves PQ things and mask AP")
    ((_, table),) = section.tables
    assert [column.name for column in table.columns[:3]] == ["PQ", "PQ things", "mask AP"]
    assert [name for name, _ in table.explanations[:3]] == ["PQ", "PQ things", "mask AP"]
    assert [name for name, _ in section.glossary] == ["nearest", "freqfusion"]
    (line, _) = section.precision[0][1][0].lines
    assert len(line.seeds) == 2 and section.class_score[0] == "PQ" and section.classes[0].title == "Things"
    shutil.rmtree(out / "runs")
    (section,) = load_objects([out])
    assert section.tables[0][1] == table and section.precision == section.classes == ()
    page = write_report([out], tmp_path / "page.html").read_text()
    assert "-precision" not in page and "freqfusion" in page


def test_comparisons_show_the_pictures_of_their_first_seed(finished, make_objects_comparison, tmp_path):
    out = make_objects_comparison(tmp_path / "out", {"nearest": 0.0, "freqfusion": 0.05}, pictures=False)
    for run in (out / "runs").iterdir():
        shutil.copytree(finished / "pictures", run / "pictures")
    gallery = load_objects([out])[0].gallery
    assert gallery.seed == 0 and gallery.variants == ("nearest", "freqfusion") and gallery.right == "freqfusion"


@pytest.mark.parametrize(
    ("options", "shown", "hidden"),
    [
        ({"masks": False, "stuff": 0}, ("Boxes", ">image<", "box AP"), ("Masks", "mask AP", "PQ", ">errors<")),
        ({"stuff": 0}, ("Boxes", "Masks", ">errors<"), ("PQ", "Stuff")),
        ({"pictures": False}, ("PQ", "Precision and recall"), ("Images", 'class="gallery')),
        ({"split": "test"}, ("on the test images", "PQ"), ("validation images",)),
    ],
)
def test_what_is_missing_leaves_no_trace(make_objects, tmp_path, options, shown, hidden):
    folder = make_objects(tmp_path / "run", **options)
    (folder / "metrics.csv").unlink()
    body = write_report([folder], tmp_path / "page.html").read_text().partition("<main")[2].partition("<script")[0]
    body = re.sub(r'src="data:[^"]*"', "", body)
    assert all(text in body for text in shown)
    assert not any(text in body for text in (*hidden, '-training"', "nan<"))


BROKEN = {
    "no scores": ("objects.json", lambda data: [data.pop(key) for key in ("box", "mask", "panoptic")], "no scores"),
    "a word": ("objects.json", lambda data: data["box"].update(AP="much"), "'much'"),
    "a score": ("objects.json", lambda data: data["box"].pop("AP50"), "'AP50' is missing"),
    "a class": ("objects.json", lambda data: data["panoptic"]["class_PQ"].pop(), "4 values, expected 5"),
    "a kind": ("objects.json", lambda data: data["is_thing"].pop(), "is_thing of 4 classes"),
    "a curve": ("objects.json", lambda data: data["mask"]["precision"]["0.75"].pop(), "shorter"),
    "a colour": ("pictures/pictures.json", lambda data: data["palette"].pop(), "4 colours for 5 classes"),
    "a file": ("pictures/pictures.json", lambda data: data["samples"][0].update(truth="no.png"), r"no\.png"),
    "outside": ("pictures/pictures.json", lambda data: data["samples"][0].update(image="../../x.png"), "outside"),
    "another size": ("pictures/pictures.json", lambda data: data["samples"][1].update(errors="x.png"), "5x4"),
}


@pytest.mark.parametrize(("file", "change", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_named(folder, file, change, message):
    Image.fromarray(draw_object_errors(np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8))).save(
        folder / "pictures" / "x.png"
    )
    data = json.loads((folder / file).read_text())
    change(data)
    (folder / file).write_text(json.dumps(data))
    with pytest.raises(ValueError, match=rf"{re.escape(str(folder / file))}.*{message}"):
        write_report([folder], folder / "report.html")
    assert not (folder / "report.html").exists()


def test_runs_that_were_never_scored_are_refused(folder):
    (folder / "objects.json").unlink()
    with pytest.raises(ValueError, match=r"objects\.json is missing: the run was neither"):
        write_report([folder], folder / "report.html")
