# SPDX-License-Identifier: Apache-2.0
"""Ground truth that a network gives back scores one in the task's own validation; what is wrong does not."""

import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from dealias.data import CocoInstances, CocoPanoptic, SyntheticObjects
from dealias.train import ObjectMetricSettings, ObjectsData, ObjectsTask
from dealias.train.object_results import ObjectResults

MINI = Path(os.environ.get("DEALIAS_DATA", Path(__file__).parents[2] / "../shared/data")) / "coco_mini"
needs_mini = pytest.mark.skipif(not MINI.is_dir(), reason=f"needs {MINI}; DEALIAS_DATA names the folder above it")


class Oracle(nn.Module):
    """Gives back the objects of the validation set, one image after the other, but for those that it forgets."""

    def __init__(self, data, has_masks=True, forgets=lambda number: False):
        super().__init__()
        self.config = {}
        things = sum(data.describe()["is_thing"])
        self.classes, self.stuff_classes = things, len(data.describe()["classes"]) - things
        self.has_masks, self.forgets = has_masks, forgets
        self.targets = ((i, t) for i, batch in enumerate(data.val_dataloader()) for t in batch["target"])

    def forward(self, images):
        return [self.found(*next(self.targets)) for _ in images]

    def found(self, number, target):
        kept = target["iscrowd"] == (2 if self.forgets(number) else 0)
        thing = kept & (target["labels"] <= self.classes)
        found = {"boxes": target["boxes"][thing], "labels": target["labels"][thing], "scores": torch.rand(thing.sum())}
        if self.has_masks:
            found["masks"] = target["masks"][thing][:, None].float() * 0.9
        if self.stuff_classes:
            ids = torch.zeros(target["masks"].shape[1:], dtype=torch.int32)
            for i, mask in enumerate(target["masks"][kept], start=1):
                ids[mask != 0] = 7 * i
            pairs = enumerate(target["labels"][kept].tolist(), start=1)
            found["panoptic"] = {"ids": ids, "segments_info": [{"id": 7 * i, "category_id": c} for i, c in pairs]}
        return found


class EveryTenth:
    """A tenth of a data set, as the whole takes a minute."""

    def __init__(self, dataset):
        self.dataset, self.classes, self.palette = dataset, dataset.classes, dataset.palette
        self.is_thing, self.category_ids = dataset.is_thing, dataset.category_ids

    def __len__(self):
        return len(self.dataset) // 10

    def __getitem__(self, index):
        return self.dataset[10 * index]


def validate(make_trainer, dataset, *callbacks, settings=None, **options):
    data = ObjectsData(val=dataset, workers=0)
    task = ObjectsTask(Oracle(data, **options), metrics=settings or ObjectMetricSettings())
    make_trainer(callbacks=list(callbacks)).validate(task, data, verbose=False)
    return task.scores["val"], task


def check_perfect(scores, names):
    assert {name: scores[name] for name in names} == {name: pytest.approx(1.0, abs=1e-12) for name in names}


def test_synthetic_instances_give_one(make_trainer, tmp_path):
    settings = ObjectMetricSettings(boundary=True)
    scores, task = validate(make_trainer, SyntheticObjects(6, (64, 80)), ObjectResults(tmp_path), settings=settings)
    check_perfect(scores, ("box_AP", "mask_AP", "mask_AP75", "boundary_AP"))
    assert task.score == "mask_AP" and task.classes == 4 and "precision" not in "".join(scores)
    boxes, task = validate(make_trainer, SyntheticObjects(2, (64, 80)), has_masks=False)
    assert task.score == "box_AP" and boxes["box_AP"] == 1 and "mask_AP" not in boxes
    written = json.loads((tmp_path / "objects.json").read_text())
    assert written["recalls"] == [i / 100 for i in range(101)] and written["classes"][0] == "blob"
    assert all(written["mask"]["precision"][name] == [1.0] * 101 for name in ("0.50", "0.75", "mean"))
    assert len(written["mask"]["class_AP"]) == 4 and "panoptic" not in written


def test_synthetic_segments_give_one_and_forgotten_images_their_share(make_trainer, tmp_path):
    dataset = SyntheticObjects(4, (64, 80), panoptic=True)
    settings = ObjectMetricSettings(boundary=True, edges=True, width=3)
    scores, task = validate(make_trainer, dataset, settings=settings)
    names = ("box_AP", "mask_AP", "PQ", "SQ", "RQ", "PQ_things", "PQ_stuffs", "boundary_PQ", "edges_mIoU")
    check_perfect(scores, names)
    assert task.score == "PQ" and task.classes == 9
    scores, _ = validate(make_trainer, dataset, ObjectResults(tmp_path), forgets=lambda number: number == 0)
    assert 0 < scores["PQ"] < 1 and 0 < scores["mask_AP"] < 1
    written = json.loads((tmp_path / "objects.json").read_text())
    assert (
        written["classes"][:4] == ["blob", "fence", "pole", "sign"] and written["is_thing"] == [True] * 4 + [False] * 5
    )
    for position, name in enumerate(written["classes"]):
        label = dataset.classes.index(name)
        counts = [int((dataset[i]["target"]["labels"] == label).sum()) for i in range(4)]
        found = written["panoptic"]["class_PQ"][position]
        if sum(counts) == 0:
            assert found is None
        else:  # matched pairs, each of IoU 1, over those and half of what is missed
            assert found == pytest.approx(sum(counts[1:]) / (sum(counts[1:]) + counts[0] / 2)), name
    curve = written["box"]["precision"]["0.50"]
    assert curve[0] == 1 and curve[-1] < 1


@needs_mini
@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_coco_gives_one(make_trainer, split):
    images, annotations = MINI / "images" / split, MINI / "annotations"
    instances = CocoInstances(images, annotations / f"instances_{split}.json")
    scores, _ = validate(make_trainer, EveryTenth(instances))
    check_perfect(scores, ("box_AP", "box_AP50", "box_APs", "mask_AP", "mask_APm", "mask_APl"))
    panoptic = CocoPanoptic(images, annotations / f"panoptic_{split}.json")
    scores, task = validate(make_trainer, EveryTenth(panoptic))
    check_perfect(scores, ("box_AP", "mask_AP", "PQ", "SQ", "RQ", "PQ_things", "PQ_stuffs"))
    assert (task.network.classes, task.network.stuff_classes) == (80, 53)
