# SPDX-License-Identifier: Apache-2.0
"""One of several processes that score their own images: ``distributed_worker.py FOLDER RANK STARTS...``."""

import sys
from pathlib import Path

import torch
from torch import distributed

from dealias.metrics import BoundaryIoU, SegmentationMetrics


def main(folder: Path, rank: int, starts: list[int]) -> None:
    world_size = len(starts) - 1
    rendezvous = f"file://{folder / 'rendezvous'}"
    distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=world_size)
    data = torch.load(folder / "data.pt", weights_only=True)
    metrics = {"segmentation": SegmentationMetrics(data["classes"], width=3), "boundary": BoundaryIoU(data["classes"])}
    for index in range(starts[rank], starts[rank + 1]):
        for metric in metrics.values():
            metric.update(data["preds"][index : index + 1], data["target"][index : index + 1])
    torch.save({name: metric.compute() for name, metric in metrics.items()}, folder / f"scores{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), [int(start) for start in sys.argv[3:]])
