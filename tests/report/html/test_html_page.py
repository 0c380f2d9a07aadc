# SPDX-License-Identifier: Apache-2.0
import argparse
import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from dealias.commands import report
from dealias.report.html import write_report
from dealias.report.html.errors import ERROR_KINDS, error_kinds
from dealias.report.pictures import load_pictures

VOID = {"meta", "img", "input", "br", "link"}


class Node:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent, self.children, self.words = tag, attributes, parent, [], []

    def find(self, *tags):
        for child in self.children:
            if not tags or child.tag in tags:
                yield child
            yield from child.find(*tags)

    @property
    def text(self):
        return " ".join(" ".join([*self.words, *(child.text for child in self.children)]).split())

    @property
    def classes(self):
        return (self.attributes.get("class") or "").split()


class Tree(HTMLParser):
    """The elements of a page; anything not closed in order is an error."""

    def __init__(self, page):
        super().__init__()
        self.root = self.at = Node("", {}, None)
        self.feed(page)
        assert self.at is self.root, f"<{self.at.tag}> is not closed"

    def handle_starttag(self, tag, attributes):
        node = Node(tag, dict(attributes), self.at)
        assert len(node.attributes) == len(attributes), f"<{tag}> has an attribute twice"
        self.at.children.append(node)
        self.at = self.at if tag in VOID else node

    def handle_startendtag(self, tag, attributes):
        self.at.children.append(Node(tag, dict(attributes), self.at))

    def handle_endtag(self, tag):
        assert tag == self.at.tag, f"</{tag}> closes <{self.at.tag}>"
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.words.append(data)


def parse(file):
    return Tree(file.read_text(encoding="utf-8")).root


@pytest.fixture(scope="module")
def folder(make_comparison, tmp_path_factory):
    return make_comparison(tmp_path_factory.mktemp("compared") / "out")


@pytest.fixture(scope="module")
def page(folder):
    return parse(write_report([folder], folder / "report.html"))


def test_nothing_is_loaded_from_elsewhere(folder, page):
    text = re.sub(r"data:image/\w+;base64,[\w+/=]+", "", (folder / "report.html").read_text(encoding="utf-8"))
    assert not re.search(r"https?:|//\w|@import|url\(", text)
    for node in page.find():
        assert node.tag not in {"link", "iframe", "object", "embed", "base", "form"}
        assert not {"srcset", "style", "action"} & {*node.attributes}
        assert not any(name.startswith("on") for name in node.attributes)
        assert node.attributes.get("src", "data:image/").startswith("data:image/")
        assert node.attributes.get("href", "#").startswith("#")


def test_policy_allows_the_own_script_and_style_only(page):
    [policy] = [
        node.attributes["content"]
        for node in page.find("meta")
        if node.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    for tag in ("style", "script"):
        [node] = page.find(tag)
        digest = base64.b64encode(hashlib.sha256("".join(node.words).encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy


def test_everything_has_a_name(page):
    for image in page.find("img"):
        assert image.attributes["alt"]
    for svg in page.find("svg"):
        assert svg.attributes.get("aria-hidden") == "true" or svg.attributes["aria-label"]
    for table in page.find("table"):
        assert next(table.find("caption")).text
        [head] = table.find("thead")
        columns = len(list(head.find("th")))
        rows = [row for body in table.find("tbody") for row in body.find("tr")]
        assert rows and all(len(list(row.find("th", "td"))) == columns for row in rows)
    for control in page.find("button", "select", "input"):
        named = control.attributes.get("aria-label") or (control.tag == "button" and control.text)
        assert named or (control.parent.tag == "label" and control.parent.text)


def test_links_lead_somewhere_and_headings_step_by_one(page):
    ids = [node.attributes["id"] for node in page.find() if "id" in node.attributes]
    assert len(ids) == len({*ids})
    targets = [node.attributes["href"][1:] for node in page.find("a")]
    targets += [node.attributes["data-copies"] for node in page.find("button") if "copy" in node.classes]
    assert len(targets) > 10 and {*targets} <= {*ids}
    levels = [int(node.tag[1]) for node in page.find("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_score_table_against_the_json(folder, page):
    data = json.loads((folder / "comparison.json").read_text())
    table = next(page.find("table"))
    rows = {next(row.find("th")).words[0]: list(row.find("td")) for row in next(table.find("tbody")).find("tr")}
    assert list(rows) == [variant["name"] for variant in data["variants"]]
    for variant in data["variants"]:
        for metric, cell in zip(data["metrics"], rows[variant["name"]], strict=False):
            score = variant["scores"][metric]
            assert float(cell.attributes["data-value"]) == score["mean"]
            assert f"{100 * score['mean']:.1f} ± {100 * score['sd']:.1f}" in cell.text
            best = (max if metric in ("mIoU", "BIoU", "BAcc") else min)(
                other["scores"][metric]["mean"] for other in data["variants"]
            )
            assert ("best" in cell.classes) == (score["mean"] == best)
            if variant["differences"]:
                difference = variant["differences"][metric]
                assert f"{100 * difference['mean']:+.1f}".replace("-", "\N{MINUS SIGN}") in cell.text
                assert ("≈" in cell.text) == difference["within_spread"]
    assert "≈ within seed spread" in page.text


def decode(uri):
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))
    return np.asarray(image.convert("RGBA"))


def test_pictures_are_those_of_the_runs(folder, page):
    article = [node for node in page.find("article") if "sample" in node.classes][1]
    tiles = {node.attributes["data-name"]: list(node.find("img")) for node in article.find("li")}
    stored = load_pictures(folder / "runs" / "freqfusion-seed0" / "pictures")
    sample, colours = stored.samples[1], np.array([*stored.palette, *[(0, 0, 0)] * 253], np.uint8)
    image = load_pictures(folder / "runs" / "bilinear-seed0" / "pictures").samples[1].image
    np.testing.assert_array_equal(decode(tiles["image"][0].attributes["src"])[..., :3], image)
    np.testing.assert_array_equal(decode(tiles["ground truth"][0].attributes["src"])[..., :3], colours[sample.truth])
    labels, errors = (decode(image.attributes["src"]) for image in tiles["freqfusion"])
    np.testing.assert_array_equal(labels[..., :3], colours[sample.prediction])
    wrong = (sample.prediction != sample.truth) & (sample.truth != 255)
    np.testing.assert_array_equal(errors[..., 3] > 0, wrong)
    kinds = error_kinds(sample.prediction, sample.truth, 255, 3)
    for number, kind in enumerate(ERROR_KINDS, start=1):
        assert (errors[kinds == number] == (*kind.colour, 255)).all()
        assert kind.sentence in page.text


def test_names_are_text_whatever_is_in_them(make_comparison, tmp_path):
    evil = "<script>alert(1)</script>"
    folder = make_comparison(tmp_path / 'a <b>&" name', seeds=1, classes=("ground", evil, "\"'><img src=x>"))
    file = folder / "pictures & more.html"
    pictures = folder / "runs" / "bilinear-seed0" / "pictures" / "pictures.json"
    for name in ("bilinear", "carafe", "freqfusion"):
        pictures = folder / "runs" / f"{name}-seed0" / "pictures" / "pictures.json"
        pictures.write_text(pictures.read_text().replace("scene 1", "</style></h3>" + evil))
    (folder / "config.yaml").write_text(f"key: {evil}\n</code></pre>\ud800".encode("utf-8", "replace").decode())
    page = parse(write_report([folder], file))
    assert len(list(page.find("script"))) == 1 and len(list(page.find("style"))) == 1
    assert evil in page.text and "\"'><img src=x>" in page.text
    assert all(image.attributes["alt"] for image in page.find("img"))


def test_parts_that_are_missing_are_left_out(make_comparison, make_run, tmp_path):
    folder = make_comparison(tmp_path / "bare", variants=("bilinear",), seeds=1)
    for file in (folder / "runs").rglob("*.*"):
        file.unlink()
    (folder / "env.json").unlink()
    (folder / "config.yaml").unlink()
    page = parse(write_report([folder], tmp_path / "bare.html"))
    headings = [node.text for node in page.find("h2")]
    assert headings == ["Scores", "Classes", "Do it again"]
    assert "abc123-dirty" in page.text  # comparison.json repeats what env.json says
    runs = [make_run(tmp_path / name, gain) for name, gain in (("one", 0.0), ("two", 0.05))]
    for run in runs:
        for file in ("env.json", "config.yaml", "metrics.csv"):
            (run / file).unlink()
    page = parse(write_report([folder, *runs], tmp_path / "several.html"))
    assert [node.text for node in page.find("h2")] == ["fpn with resnet10t on synthetic scenes", "2 runs"]
    assert "two has the highest mIoU" in page.text and "not paired" in page.text
    assert page.text.count("env.json and config.yaml are missing") == 2


def test_one_seed_is_said_to_tell_little(make_comparison, tmp_path):
    page = parse(write_report([make_comparison(tmp_path / "out", seeds=1)], tmp_path / "page.html"))
    assert "With one seed it cannot be said" in page.text
    assert "±" not in next(page.find("table")).text


def test_command_writes_into_the_first_run_unless_told_otherwise(make_run, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    run = make_run(tmp_path / "run")
    for arguments, file in (([run], run / "report.html"), ([run, "--out", tmp_path / "x.html"], tmp_path / "x.html")):
        assert report.run(parser.parse_args([str(argument) for argument in arguments])) == 0
        assert parse(file).text and str(file) in capsys.readouterr().out
    assert sorted(path.name for path in run.iterdir()) == sorted(
        ["report.html", "metrics.json", "metrics.csv", "images_val.csv", "pictures", "env.json", "config.yaml"]
    )
