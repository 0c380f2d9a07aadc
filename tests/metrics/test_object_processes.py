# SPDX-License-Identifier: Apache-2.0
"""Two processes agree on the scores of the objects in all images, each counted once, even if one has no image."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("object_worker.py")
CATEGORIES = {"things": [1, 2], "stuffs": [3, 4]}
SHARES = {
    # Image 4 is in both shares, as samplers give it that fill up the last batch.
    "bbox": [[2, 0, 4], [1, 3, 4]],
    "segm": [[], [3, 4, 0, 1, 2]],
    "boundary": [[3, 4, 0, 1, 2], []],
    "panoptic": [[2, 0, 4], [1, 3]],
    "panoptic boundary": [[4, 3, 2, 1, 0], []],
    "panoptic edges": [[2], [0, 4, 1, 3]],
}


@pytest.fixture
def data(label_pairs):
    """Panoptic maps of ids below 5, which are their categories, and their segments as objects of scattered scores."""
    preds, targets = label_pairs((5, 21, 30), ignore_index=0)
    maps = []
    for ids in (preds, targets):
        infos = [[{"id": i, "category_id": i} for i in one.unique().tolist() if i] for one in ids]
        maps.append([{"ids": one, "segments_info": info} for one, info in zip(ids, infos, strict=True)])
    objects = []
    for found in maps:
        objects.append([])
        for image, one in enumerate(found):
            labels = torch.tensor([segment["id"] for segment in one["segments_info"]])
            masks = one["ids"] == labels[:, None, None]
            boxes = torch.stack(
                [torch.cat([m.nonzero().amin(0).flip(0), m.nonzero().amax(0).flip(0) + 1]) for m in masks]
            )
            scores = torch.rand(len(labels), dtype=torch.float64)
            objects[-1].append({"labels": labels, "masks": masks, "boxes": boxes, "scores": scores, "image_id": image})
    kinds = {"objects": objects, "panoptic": maps}
    return {**CATEGORIES, **{kind: {"preds": found[0], "targets": found[1]} for kind, found in kinds.items()}}


def test_processes_score_as_one(data, tmp_path):
    torch.save({**data, "shares": SHARES}, tmp_path / "data.pt")
    commands = [[sys.executable, str(WORKER), str(tmp_path), str(rank), "2"] for rank in range(2)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    spec = importlib.util.spec_from_file_location("object_worker", WORKER)
    worker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)
    found = [torch.load(tmp_path / f"scores{rank}.pt", weights_only=True) for rank in range(2)]
    for name, metric in worker.build(**CATEGORIES).items():
        kind = data["panoptic" if name.startswith("panoptic") else "objects"]
        metric.update(kind["preds"], kind["targets"])
        for score, value in metric.compute().items():
            for rank in range(2):
                same = torch.allclose(found[rank][name][score], value, rtol=1e-14, atol=0, equal_nan=True)
                assert same, f"rank {rank}, {name}: {score}"
        assert torch.isfinite(value).any()
