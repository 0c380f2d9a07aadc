# SPDX-License-Identifier: Apache-2.0
"""Scores of label files with ``--edges released`` equal the recorded ones of the published evaluation."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dealias.commands import evaluate

BOUNDARY = {
    "BIoU": "boundary_IoU",
    "BAcc": "boundary_Acc",
    "FErr": "FP_rate",
    "MErr": "FN_rate",
    "DErr": "mdisplacement_rate",
}


def evaluate_files(folder: Path, case: dict[str, Any]) -> dict[str, Any]:
    for side in ("pred", "gt"):
        (folder / side).mkdir(parents=True)
        for number, labels in enumerate(case[side]):
            Image.fromarray(labels.numpy()).save(folder / side / f"{number}.png")
    config = case["config"]
    options = ["--classes", config["num_classes"], "--ignore-index", config["ignore_index"], "--edges", "released"]
    if config["label_map"]:
        options += ["--label-map", ",".join(f"{old}:{new}" for old, new in config["label_map"].items())]
    if config["reduce_zero_label"]:
        options += ["--reduce-zero-label"]
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    arguments = [folder / "pred", folder / "gt", *options, "--workers", 1, "--out", folder / "out"]
    assert evaluate.run(parser.parse_args([str(argument) for argument in arguments])) == 0
    return json.loads((folder / "out" / "evaluation.json").read_text())


def as_fractions(values: Any) -> torch.Tensor:
    values = [values] if not isinstance(values, list) else values
    return torch.tensor([math.nan if value is None else value for value in values], dtype=torch.float64)


@pytest.mark.records("06_")
def test_label_files_give_the_recorded_scores(record: dict[str, Any], tmp_path: Path) -> None:
    for number, case in enumerate(record["cases"]):
        found = evaluate_files(tmp_path / str(number), case)
        returned = case["eval_metrics_return"]
        plain = {name: torch.as_tensor(returned[name], dtype=torch.float64) for name in ("aAcc", "IoU", "Acc")}
        pairs = [(found["scores"]["aAcc"], plain["aAcc"]), (found["scores"]["mIoU"], plain["IoU"].nanmean())]
        pairs += [(found["scores"]["mAcc"], plain["Acc"].nanmean())]
        pairs += [(found["per_class"][name], plain[name]) for name in ("IoU", "Acc")]
        if not case["config"]["label_map"] and not case["config"]["reduce_zero_label"]:
            recorded = case["eval_metrics_all_res"]
            pairs += [(found["scores"][name], recorded[published]) for name, published in BOUNDARY.items()]
        for score, expected in pairs:
            expected = torch.as_tensor(expected, dtype=torch.float64).flatten()
            torch.testing.assert_close(as_fractions(score), expected, rtol=1e-12, atol=1e-12, equal_nan=True)
