# SPDX-License-Identifier: Apache-2.0
"""Scores of folders equal those of the metrics fed with the arrays that were written."""

import csv
import json
import math
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from dealias.evaluation import LabelFolders, Scoring, evaluate_folders
from dealias.metrics import BoundaryIoU, SegmentationMetrics, remap_labels

CLASSES = 5
METRICS = ("mIoU", "aAcc", "mAcc", "BIoU", "BAcc", "FErr", "MErr", "DErr", "mBoundaryIoU")


def expected(pairs, classes=CLASSES, **options):
    metrics = SegmentationMetrics(classes, **options), BoundaryIoU(classes, options.get("ignore_index", 255))
    for preds, truth in pairs:
        for metric in metrics:
            metric.update(torch.as_tensor(preds)[None], torch.as_tensor(truth)[None])
    return metrics[0].compute() | metrics[1].compute()


def assert_scores(found, scores):
    assert list(found) == list(METRICS)
    assert found == pytest.approx({name: scores[name].item() for name in METRICS}, rel=1e-12, nan_ok=True)


def test_scores_of_all_of_classes_and_of_images(make_labels, evaluate):
    labels = make_labels()
    found = evaluate(labels)
    scores = expected(labels.arrays.values())
    assert_scores(found["scores"], scores)
    for name in ("IoU", "Acc", "BoundaryIoU"):
        assert found["per_class"][name] == pytest.approx(scores[name].tolist(), rel=1e-12)
    assert [image["name"] for image in found["per_image"]] == sorted(labels.arrays)
    for image in found["per_image"]:
        preds, truth = labels.arrays[image["name"]]
        assert_scores(image["scores"], expected([(preds, truth)]))
        assert (image["height"], image["width"]) == truth.shape
        assert image["pixels"] == (truth != 255).sum()
        assert image["prediction"] == str(labels.predictions / f"{image['name']}.png")
        assert image["ground_truth"] == str(labels.truth / f"{image['name']}.png")


def test_confusion_and_pixels(make_labels, evaluate):
    labels = make_labels()
    found = evaluate(labels, classes="road,car,sky,tree,pole")
    confusion = np.zeros((CLASSES, CLASSES), int)
    for preds, truth in labels.arrays.values():
        counted = truth != 255
        np.add.at(confusion, (truth[counted], preds[counted]), 1)
    assert found["confusion"] == confusion.tolist()
    assert found["per_class"]["pixels"] == confusion.sum(1).tolist()
    assert found["per_class"]["predicted"] == confusion.sum(0).tolist()
    assert found["images"] == 5 and found["pixels"] == confusion.sum()
    assert found["classes"] == ["road", "car", "sky", "tree", "pole"]
    assert found["problems"] == []


def test_workers_do_not_change_a_byte(tmp_path, make_labels, run_command):
    labels = make_labels(9)
    for workers in (1, 2):
        out = ("--out", tmp_path / str(workers), "--workers", workers, "--label-map", "0:1,1:0")
        assert run_command("evaluate", labels.predictions, labels.truth, "--classes", CLASSES, *out) == 0
    for name in ("evaluation.json", "evaluation.csv", "evaluation.md"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "2").iterdir()) == [
        "evaluation.csv",
        "evaluation.json",
        "evaluation.md",
        "report.html",
    ]


def test_edges_width_and_ignored_id(make_labels, evaluate):
    labels = make_labels()
    found = evaluate(labels, "--edges", "released", "--width", 5)
    assert_scores(found["scores"], expected(labels.arrays.values(), edges="released", width=5))
    assert found["settings"]["edges"] == "released" and found["settings"]["width"] == 5
    moved = [(preds, np.where(truth == 255, 9, truth)) for preds, truth in labels.arrays.values()]
    found = evaluate(labels, "--label-map", "255:9", "--ignore-index", 9)
    assert_scores(found["scores"], expected(moved, ignore_index=9))


def test_label_map_comes_before_zero_is_left_out(make_labels, evaluate, save):
    labels = make_labels()
    label_map = {1: 0, 0: 1, 2: 5}
    pairs = []
    for name, (preds, truth) in labels.arrays.items():
        mapped = remap_labels(torch.from_numpy(truth), label_map, reduce_zero_label=True)
        assert (mapped.numpy()[truth == 1] == 255).all() and (mapped.numpy()[truth == 0] == 0).all()
        pairs.append((preds, mapped))
        save(labels.truth / f"{name}.png", truth.astype(np.uint16 if "/" in name else np.uint8))
    found = evaluate(labels, "--label-map", "1:0,0:1,2:5", "--reduce-zero-label")
    assert_scores(found["scores"], expected(pairs))
    assert found["settings"]["label_map"] == [[1, 0], [0, 1], [2, 5]] and found["settings"]["reduce_zero_label"]


def test_label_maps_from_files_and_for_predictions(tmp_path, make_labels, evaluate, save):
    labels = make_labels()
    for name, (preds, truth) in labels.arrays.items():
        save(labels.predictions / f"{name}.png", preds + 10)
        save(labels.truth / f"{name}.png", np.where(truth == 255, 300, truth.astype(np.uint16) + 40).astype(np.uint16))
    (tmp_path / "truth.yaml").write_text("300: 255\n" + "".join(f"{label + 40}: {label}\n" for label in range(CLASSES)))
    pred_map = ",".join(f"{label + 10}:{label}" for label in range(CLASSES))
    found = evaluate(labels, "--label-map", tmp_path / "truth.yaml", "--pred-label-map", pred_map)
    assert_scores(found["scores"], expected(labels.arrays.values()))


def test_formats_of_label_files_do_not_matter(make_labels, evaluate, save):
    labels = make_labels()
    names = list(labels.arrays)
    preds, truth = labels.arrays[names[0]]
    with_colours = Image.fromarray(preds)
    with_colours.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, 1, 2, 3])
    save(labels.predictions / f"{names[0]}.png", with_colours)
    assert Image.open(labels.predictions / f"{names[0]}.png").mode == "P"
    save(labels.truth / f"{names[0]}.png", truth.astype(np.uint16))
    (labels.predictions / f"{names[1]}.png").unlink()
    save(labels.predictions / f"{names[1]}.TIFF", labels.arrays[names[1]][0])
    assert_scores(evaluate(labels)["scores"], expected(labels.arrays.values()))


def test_suffixes(make_labels, evaluate, save):
    labels = make_labels(gt_suffix="_gtFine_labelTrainIds")
    save(labels.truth / "image0_gtFine_color.png", np.zeros((4, 4, 3), np.uint8))
    found = evaluate(labels, "--gt-suffix", "_gtFine_labelTrainIds")
    assert [image["name"] for image in found["per_image"]] == sorted(labels.arrays)
    assert_scores(found["scores"], expected(labels.arrays.values()))


def test_worst_images(make_labels, evaluate, save):
    labels = make_labels(12)
    for name in ("image5", "image7"):
        save(labels.predictions / f"{name}.png", np.where(labels.arrays[name][1] == 255, 0, labels.arrays[name][1]))
    save(labels.truth / "image9.png", np.full((49, 41), 255, np.uint8))
    found = evaluate(labels)
    for metric in METRICS:
        better = found["metrics"][metric]["higher_is_better"]
        assert better == (metric not in ("FErr", "MErr", "DErr"))
        scores = {image["name"]: image["scores"][metric] for image in found["per_image"]}
        assert scores.pop("image9") is None
        order = sorted(scores, key=lambda name: (scores[name] if better else -scores[name], name))[:10]
        assert found["worst"][metric] == [{"name": name, "score": scores[name]} for name in order]
    assert [entry["name"] for entry in found["worst"]["aAcc"]][-1] == "image5"


def test_csv_has_every_score_and_markdown_the_tables(tmp_path, make_labels, evaluate, capsys):
    labels = make_labels()
    found = evaluate(labels, classes="road,car,sky,tree,po|le")
    printed = capsys.readouterr().out
    with (tmp_path / "out0" / "evaluation.csv").open() as file:
        rows = {(row["scope"], row["name"], row["metric"]): row["score"] for row in csv.DictReader(file)}
    assert len(rows) == len(METRICS) * (1 + 5) + 3 * CLASSES
    assert float(rows["all", "", "mIoU"]) == found["scores"]["mIoU"]
    assert float(rows["class", "sky", "IoU"]) == found["per_class"]["IoU"][2]
    assert float(rows["image", "city/2", "DErr"]) == found["per_image"][0]["scores"]["DErr"]
    text = (tmp_path / "out0" / "evaluation.md").read_text()
    miou = f"{100 * found['scores']['mIoU']:.2f}"
    assert miou in text and miou in printed
    assert "DErr ↓" in text and "| road |" in text and "| po\\|le |" in text and "`city/2`" in text


def test_absent_classes_are_null(make_labels, evaluate):
    labels = make_labels()
    found = evaluate(labels, classes=7)
    assert found["per_class"]["IoU"][5:] == [None, None]
    assert_scores(found["scores"], expected(labels.arrays.values(), classes=7))


def test_only_small_rows_are_kept_of_images(make_labels):
    labels = make_labels(40)
    scoring = Scoring(tuple("abcde"))

    def kept(count):
        for number in range(count, 40):
            for folder in (labels.predictions, labels.truth):
                (folder / f"image{number}.png").unlink(missing_ok=True)
        tracemalloc.start()
        evaluation = evaluate_folders(LabelFolders(labels.predictions, labels.truth), scoring, workers=1)
        memory, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return memory, len(evaluation.counts.images)

    kept(40)
    (all_bytes, all_images), (few_bytes, few_images) = kept(40), kept(5)
    assert (all_bytes - few_bytes) / (all_images - few_images) < 1500


def test_a_second_evaluation_does_not_replace_the_first(tmp_path, make_labels, run_command):
    labels = make_labels()
    arguments = (labels.predictions, labels.truth, "--classes", CLASSES, "--out", tmp_path / "out", "--workers", 1)
    assert run_command("evaluate", *arguments) == 0
    before = (tmp_path / "out" / "evaluation.json").read_bytes()
    with pytest.raises(ValueError, match="holds an evaluation already"):
        run_command("evaluate", *arguments, "--width", 3)
    assert (tmp_path / "out" / "evaluation.json").read_bytes() == before


def test_library_reports_progress_and_gives_numbers(make_labels):
    labels = make_labels()
    seen = []
    folders = LabelFolders(labels.predictions, labels.truth)
    scoring = Scoring(tuple("abcde"))
    evaluation = evaluate_folders(folders, scoring, workers=1, on_progress=lambda *news: seen.append(news))
    assert seen[-1] == (5, 5) and [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert_scores(evaluation.scores, expected(labels.arrays.values()))
    assert not any(math.isnan(score) for score in evaluation.class_scores["IoU"])
    json.dumps(evaluation.to_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ()}, "at least one class"),
        ({"edges": "soft"}, "unknown edges"),
        ({"width": 4}, "odd and positive"),
        ({"label_map": {0: 2**40}}, "do not fit"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        Scoring(**{"classes": ("a",), **options})
