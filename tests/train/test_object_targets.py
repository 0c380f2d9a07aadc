# SPDX-License-Identifier: Apache-2.0
"""What a network learns from a data set's objects, and what its predictions look like on the image."""

import pytest
import torch

from dealias.data import SyntheticObjects, object_evaluation_transform
from dealias.data.objects import boxes_of_masks, object_target
from dealias.report.object_errors import OBJECT_ERRORS
from dealias.train import ObjectsData
from dealias.train.object_overlays import Overlays
from dealias.train.object_targets import Categories, training_target, true_objects, true_panoptic

IS_THING = (False, True, False, True)  # categories: 1 and 3 are things 1 and 2, 0 and 2 stuff 3 and 4


@pytest.fixture
def target():
    """A thing of class 3, a crowd of class 1 and stuff of class 0, in columns of two pixels; the last are void."""
    masks = torch.zeros(3, 4, 8, dtype=torch.uint8)
    for i, mask in enumerate(masks):
        mask[:, 2 * i : 2 * i + 2] = 1
    found = object_target(masks, [3, 1, 0], boxes_of_masks(masks), [8, 8, 8], [0, 1, 0], 5)
    sample = {"image": torch.zeros(3, 4, 8), "target": found, "name": "columns"}
    return Categories(IS_THING).collate([sample])["target"][0]


def test_networks_learn_things_and_the_category_of_every_pixel(target):
    assert target["labels"].tolist() == [2, 1, 3] and type(target["masks"]) is torch.Tensor
    found = training_target(target, things=2, stuff=2)
    assert found["labels"].tolist() == [2] and found["boxes"].tolist() == [[0, 0, 2, 4]]
    assert found["masks"].shape == (1, 4, 8)
    assert found["semantic"][0].tolist() == [2, 2, 0, 0, 3, 3, 0, 0], "crowds and what is in no segment are void"
    assert "semantic" not in training_target(target, things=4, stuff=0)


def test_crowds_are_kept_where_predictions_are_scored(target):
    found = true_objects(target, things=2)
    assert found["labels"].tolist() == [1, 0] and found["iscrowd"].tolist() == [0, 1] and found["image_id"] == 5
    segments = true_panoptic(target)["segments_info"]
    assert [(s["category_id"], s["iscrowd"], s["area"]) for s in segments] == [(2, 0, 8), (1, 1, 8), (3, 0, 8)]


def test_batches_are_plain_tensors_of_0_to_1_at_the_size_of_the_image():
    dataset = SyntheticObjects(1, (64, 80), panoptic=True)
    batch = next(
        iter(ObjectsData(val=dataset, workers=0, eval_transform=object_evaluation_transform()).val_dataloader())
    )
    image = batch["image"][0]
    assert type(image) is torch.Tensor and image.dtype == torch.float32
    assert torch.equal((image * 255).round().to(torch.uint8), dataset[0]["image"].as_subclass(torch.Tensor))
    order = Categories(dataset.is_thing).order
    labels = [order[category - 1] for category in batch["target"][0]["labels"].tolist()]
    assert labels == dataset[0]["target"]["labels"].tolist()


def test_wrong_pixels_are_coloured_by_what_is_wrong(target):
    image = torch.full((3, 4, 8), 0.5)
    overlays = Overlays("abcd", [(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 0)], stuff=2)
    ids = torch.tensor([[1, 2, 2, 2, 2, 3, 3, 3]] * 4)
    segments = [{"id": 1, "category_id": 2}, {"id": 2, "category_id": 3}, {"id": 3, "category_id": 4}]
    found = {"panoptic": {"ids": ids, "segments_info": segments}}
    errors = overlays.errors(image, target, found)
    missed, _, of_class, _ = ((errors == kind.colour).all(2)[0].tolist() for kind in OBJECT_ERRORS)
    assert missed == [False, True] + [False] * 6, "stuff where the thing goes on"
    assert of_class == [False] * 5 + [True] + [False] * 2, "neither the crowd nor void is wrong"
    assert (errors == errors[:1]).all() and (errors[0, 6] == 210).all(), "the rest is the faded image"
    drawn = overlays.prediction(image, found)
    assert drawn[0, 0].tolist() == [64, 164, 64], "half image, half colour"
    assert drawn[:, [1, 5]].min() == 255 and drawn[:, [2, 3, 4]].max() < 255, "a line where segments meet"


def test_detections_are_drawn_from_a_score_of_one_half_on(target):
    image = torch.zeros(3, 4, 8)
    overlays = Overlays(["", "b"], [(200, 0, 0), (0, 200, 0)])
    masks = torch.zeros(2, 1, 4, 8)
    masks[0, :, :, :4], masks[1, :, :, 4:] = 1, 1
    found = {
        "boxes": torch.tensor([[0.0, 0, 4, 4], [4, 0, 8, 4]]),
        "labels": torch.tensor([1, 2]),
        "scores": torch.tensor([0.5, 0.4]),
        "masks": masks,
    }
    drawn = overlays.prediction(image, found)
    assert drawn[:, :4, 0].min() >= 100 and drawn[:, 4:].max() == 0
    assert overlays.errors(image, target, {name: found[name] for name in ("boxes", "labels", "scores")}) is None
    nothing = {name: value[:0] for name, value in found.items()}
    assert overlays.prediction(image, nothing).max() == 0
