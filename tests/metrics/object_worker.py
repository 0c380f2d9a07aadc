# SPDX-License-Identifier: Apache-2.0
"""One of several processes that score objects of their own images: ``object_worker.py FOLDER RANK WORLD_SIZE``."""

import sys
from pathlib import Path

import torch
from torch import distributed
from torchmetrics import Metric

from dealias.metrics import CocoAP, PanopticEdgeMetrics, PanopticQuality


def build(things: list[int], stuffs: list[int]) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {iou_type: CocoAP(iou_type) for iou_type in ("bbox", "segm", "boundary")}
    metrics["panoptic"] = PanopticQuality(things, stuffs)
    metrics["panoptic boundary"] = PanopticQuality(things, stuffs, boundary=True)
    return metrics | {"panoptic edges": PanopticEdgeMetrics(things, stuffs)}


def main(folder: Path, rank: int, world_size: int) -> None:
    rendezvous = f"file://{folder / 'rendezvous'}"
    distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=world_size)
    data = torch.load(folder / "data.pt", weights_only=True)
    metrics = build(data["things"], data["stuffs"])
    for name, metric in metrics.items():
        kind = data["panoptic" if name.startswith("panoptic") else "objects"]
        for index in data["shares"][name][rank]:
            metric.update([kind["preds"][index]], [kind["targets"][index]])
    torch.save({name: metric.compute() for name, metric in metrics.items()}, folder / f"scores{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
