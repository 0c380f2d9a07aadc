# SPDX-License-Identifier: Apache-2.0
"""Two processes with different numbers of images agree on the scores of all of them."""

import subprocess
import sys
from pathlib import Path

import torch

from dealias.metrics import BoundaryIoU, SegmentationMetrics

WORKER = Path(__file__).with_name("distributed_worker.py")
STARTS = ("0", "5", "7")


def test_two_processes_score_as_one(label_pairs, tmp_path):
    preds, target = label_pairs((7, 21, 16))
    torch.save({"preds": preds, "target": target, "classes": 5}, tmp_path / "data.pt")
    commands = [[sys.executable, str(WORKER), str(tmp_path), rank, *STARTS] for rank in ("0", "1")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    for process in processes:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
    metrics = {"segmentation": SegmentationMetrics(5, width=3), "boundary": BoundaryIoU(5)}
    for rank in (0, 1):
        found = torch.load(tmp_path / f"scores{rank}.pt", weights_only=True)
        for name, metric in metrics.items():
            metric.reset()
            metric.update(preds, target)
            for score, value in metric.compute().items():
                assert torch.equal(found[name][score], value), f"rank {rank}: {score}"
