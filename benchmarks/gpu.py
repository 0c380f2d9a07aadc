# SPDX-License-Identifier: Apache-2.0
"""All that needs a GPU, in one command, ``make gpu``: its tests, the benchmarks, and the comparisons on CamVid.

What ``results/`` already holds for this device is skipped, so an interrupted run can be started again; finished
trainings of a comparison are kept, too. Delete a file of results to have it made anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import torch

import growth
import run
from results import REPOSITORY, device_name, record, results_path

CAMVID = Path(os.environ.get("DEALIAS_DATA", "../shared/data")) / "camvid"
"""Relative to the repository, where every step runs."""

COMPARISONS = {
    "fpn-resnet18": ["--arch", "fpn", "--encoder", "resnet18", "--seeds", "3", "--steps", "1000"],
    "upernet-resnet50": ["--arch", "upernet", "--encoder", "resnet50", "--seeds", "2", "--steps", "1000"],
}
"""Arguments of ``dealias compare`` by name; bilinear, CARAFE and FreqFusion, from scratch."""


def main() -> int:
    if not torch.cuda.is_available():
        built_for = torch.version.cuda or "no CUDA"
        sys.exit(f"make gpu: torch {torch.__version__} (built for {built_for}) finds no CUDA device; nothing was run")
    device = torch.device("cuda")
    say(f"on {device_name(device)}")
    if not tests_pass(device):
        return 1
    say("benchmarks")
    passed = run.main(["--device", "cuda", "--missing"]) == 0
    if not recorded("growth", device):
        growth.main(["--device", "cuda"])
    for name, arguments in COMPARISONS.items():
        passed = compared(name, arguments, device) and passed
    return 0 if passed else 1


def tests_pass(device: torch.device) -> bool:
    """Run the tests marked ``gpu``; a pass is recorded."""
    if recorded("gpu-tests", device):
        return True
    say("tests marked gpu")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run([sys.executable, "-m", "pytest", "-m", "gpu", f"--junitxml={report}"], cwd=REPOSITORY)
        suite = ElementTree.parse(report).find("testsuite") if report.exists() else None
    names = ("tests", "failures", "errors", "skipped")
    counts = {name: int(suite.get(name, 0)) for name in names} if suite is not None else {}
    if done.returncode != 0 or counts.get("skipped") == counts.get("tests"):
        say("the GPU tests did not pass; nothing is measured")
        return False
    record("gpu-tests", device, counts)
    return True


def compared(name: str, arguments: list[str], device: torch.device) -> bool:
    """Run one comparison on CamVid and record its ``comparison.json``."""
    area = f"camvid-{name}"
    if recorded(area, device):
        return True
    if not (REPOSITORY / CAMVID).is_dir():
        say(f"{area}: not measured, there is no folder {CAMVID}; DEALIAS_DATA names the folder above it")
        return False
    say(area)
    out = Path("runs") / results_path(area, device).stem
    command = [sys.executable, "-m", "dealias.cli", "compare", "--data", f"camvid:{CAMVID}", *arguments]
    done = subprocess.run([*command, "--device", device.type, "--out", str(out), "--resume"], cwd=REPOSITORY)
    if done.returncode != 0:
        return False
    record(area, device, json.loads((REPOSITORY / out / "comparison.json").read_text(encoding="utf-8")))
    return True


def recorded(area: str, device: torch.device) -> bool:
    path = results_path(area, device)
    if path.exists():
        say(f"{area}: recorded already in {path.name}")
    return path.exists()


def say(text: str) -> None:
    print(f"\n== gpu: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
