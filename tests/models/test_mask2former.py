# SPDX-License-Identifier: Apache-2.0
"""Mask2Former behind the interface of the other networks of objects: any size, any target, losses, configurations."""

import builtins
import json
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from dealias.fusion import Fusion
from dealias.models import DetectionModel, Mask2FormerModel, create_detector, create_model, list_models
from dealias.models.mask2former_outputs import OutputSettings, segment

pytest.importorskip("transformers")

SMALL = {
    "decoder_channels": 32,
    "heads": 4,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "feedforward": 32,
    "decoder_feedforward": 32,
    "queries": 7,
    "points": 64,
    "min_size": 64,
    "max_size": 96,
}
CLASSES, STUFF = 3, 2


def build(fusion="freqfusion", **options):
    torch.manual_seed(0)
    options = {"stuff_classes": STUFF, **SMALL, **options}
    return create_detector("mask2former", "test_resnet", classes=CLASSES, fusion=fusion, **options)


def target(size, boxes=((8.0, 10.0, 40.0, 50.0), (30.0, 5.0, 31.0, 6.0))):
    """By default the second object is one pixel large."""
    masks = torch.zeros(len(boxes), *size, dtype=torch.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[int(top) : int(bottom), int(left) : int(right)] = 1
    semantic = torch.full(size, CLASSES + 1)
    semantic[:, : size[1] // 2] = 2
    semantic[:4] = 0
    labels = torch.arange(len(boxes)) + 1
    return {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": labels, "masks": masks, "semantic": semantic}


@pytest.fixture(scope="module")
def model():
    return build().eval()


@pytest.mark.parametrize("size", [(64, 64), (65, 91), (131, 67), (90, 400)])
@torch.no_grad()
def test_any_size_gives_everything_at_its_size(model, size):
    found = model([torch.rand(3, *size), torch.rand(3, 70, 70)])[0]
    count = len(found["labels"])
    assert found["boxes"].shape == (count, 4)
    assert found["masks"].shape == (count, 1, *size)
    assert 0 <= found["masks"].min() and found["masks"].max() <= 1
    assert (found["scores"].diff() <= 0).all()
    assert found["labels"].min() >= 1 and found["labels"].max() <= CLASSES
    assert found["semantic"].shape == size
    assert found["semantic"].min() >= 1 and found["semantic"].max() <= CLASSES + STUFF
    assert found["panoptic"]["ids"].shape == size and found["panoptic"]["ids"].dtype == torch.int32


@torch.no_grad()
def test_a_batch_is_a_list_of_images(model):
    images = torch.rand(2, 3, 64, 80)
    assert torch.equal(model(images)[1]["masks"], model(list(images))[1]["masks"])


@torch.no_grad()
def test_masks_are_those_of_the_image_without_its_padding(model):
    images = [torch.rand(3, 128, 140), torch.rand(3, 64, 96)]  # 64 x 70 in a batch of 64 x 96
    batch, _ = model.transform(images)
    predictions = model.network(batch.tensors)
    padded = F.interpolate(predictions.masks[-1][:1], size=(64, 96), mode="bilinear", align_corners=False)
    resized = F.interpolate(padded[..., :70], size=(128, 140), mode="bilinear", align_corners=False)[0]
    expected = segment(predictions.classes[-1][0], resized, CLASSES, model.output_settings)
    found = model(images)[0]
    for name in ("boxes", "labels", "scores", "masks", "semantic"):
        assert torch.equal(found[name], expected[name]), name


@pytest.mark.parametrize("fusion", ["bilinear", "freqfusion"])
def test_training_step_with_an_empty_target_reaches_every_parameter(fusion):
    network = build(fusion)
    images, targets = [torch.rand(3, 70, 91), torch.rand(3, 64, 80)], [target((70, 91)), target((64, 80), ())]
    losses = network(images, targets)
    assert set(losses) == {"loss_cross_entropy", "loss_mask", "loss_dice"}
    assert all(loss.ndim == 0 and loss.isfinite() and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    missing = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert missing == []
    assert all(any(p.grad.abs().max() > 0 for p in part) for part in network.parameter_parts().values() if part)


def test_a_batch_without_any_object_teaches_that_there_is_none():
    network = build(stuff_classes=0)
    losses = network([torch.rand(3, 64, 80)], [target((64, 80), ())])
    assert losses["loss_mask"] == 0 and losses["loss_dice"] == 0 and losses["loss_cross_entropy"] > 0
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_bfloat16():
    network = build(fusion="freqfusion")
    images, targets = [torch.rand(3, 70, 91)], [target((70, 91))]
    with torch.autocast("cpu", torch.bfloat16):
        losses = network(images, targets)
        found = network.eval()(images)[0]
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())
    assert found["masks"].dtype == found["boxes"].dtype == torch.float32


class Recorder(torch.nn.Module):
    """Stands in for the network: keeps what it is to learn."""

    def forward(self, images):
        self.images = images

    def losses(self, predictions, masks, categories):
        self.masks, self.categories = masks, categories
        return {}


def test_objects_and_stuff_become_masks_on_the_padded_batch():
    network = build(max_size=128)
    network.network = recorder = Recorder()
    first, second = target((64, 90)), target((128, 128), ())
    second["semantic"][5, 5] = CLASSES + 2  # a single pixel, which halving the image leaves out
    network([torch.rand(3, 64, 90), torch.rand(3, 128, 128)], [first, second])
    assert recorder.images.shape == (2, 3, 64, 96)
    assert [c.tolist() for c in recorder.categories] == [[0, 1, CLASSES], [CLASSES]]
    padded = torch.zeros(3, 64, 96)
    padded[:2, :, :90] = first["masks"].float()
    padded[2, :, :90] = (first["semantic"] == CLASSES + 1).float()
    assert torch.equal(recorder.masks[0], padded)
    halved = (second["semantic"] == CLASSES + 1)[::2, ::2].float()
    assert torch.equal(recorder.masks[1][:, :, :64], halved[None]) and recorder.masks[1][:, :, 64:].sum() == 0
    assert len(second["masks"]) == 0 and "semantic" in second  # what was given is as it was


def test_config_rebuilds_the_network(model):
    config = json.loads(json.dumps(model.config))
    again = create_detector(**config)
    assert again.config == model.config
    again.load_state_dict(model.state_dict())
    image = torch.rand(3, 64, 80)
    with torch.no_grad():
        found, expected = again.eval()([image])[0], model([image])[0]
    assert torch.equal(found["masks"], expected["masks"]) and torch.equal(found["semantic"], expected["semantic"])


def test_other_weights_do_not_depend_on_the_fusion():
    states = [build(fusion).state_dict() for fusion in ("bilinear", "carafe", "freqfusion")]
    for state in states[1:]:
        assert set(states[0]) < set(state)
        assert all(torch.equal(state[name], x) for name, x in states[0].items())


def test_prefilter_mixer_and_frozen_stages():
    network = build(prefilter="daf", mixer="freqmix", frozen_stages=2)
    parts = network.parameter_parts()
    assert sum(map(len, parts.values())) == len(list(network.parameters()))
    assert parts["fusion"] and parts["mixer"] and parts["encoder"] and parts["decoder"]
    fusions = {p for m in network.modules() if isinstance(m, Fusion) for p in m.parameters()}
    assert set(parts["fusion"]) == fusions
    assert not all(p.requires_grad for p in parts["encoder"])


def test_thresholds_reach_the_outputs():
    network = build(object_threshold=0.1, overlap_threshold=0.2, detections=4)
    assert network.output_settings == OutputSettings(0.1, 0.2, 4)


def test_is_known_by_name():
    assert "mask2former" in list_models("detection")
    network = create_model("mask2former", "test_resnet", classes=2, **SMALL)
    assert isinstance(network, Mask2FormerModel) and isinstance(network, DetectionModel)
    assert (network.classes, network.stuff_classes, network.has_masks) == (2, 0, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.tensor([0, 1])}, "target 0: labels must be 1 to 3, got 0"),
        ({"labels": torch.tensor([1])}, r"target 0: labels must be \[2\] int64"),
        ({"masks": torch.zeros(2, 64, 64)}, r"target 0: masks must be \(2, 64, 80\), got \(2, 64, 64\)"),
        ({"semantic": torch.full((64, 80), 6)}, r"target 0: semantic must be 0 \(void\) to 5, got 6"),
        ({"semantic": torch.zeros(64, 80)}, "target 0: semantic must be .* of an integer type"),
    ],
)
def test_wrong_targets_are_named(model, change, message):
    network = model.train()
    with pytest.raises(ValueError, match=message):
        network([torch.rand(3, 64, 80)], [target((64, 80)) | change])
    model.eval()


def test_missing_targets_are_named(model):
    model.train()
    given = target((64, 80))
    del given["semantic"]
    with pytest.raises(ValueError, match="target 0: semantic missing; it has boxes, labels, masks"):
        model([torch.rand(3, 64, 80)], [given])
    with pytest.raises(ValueError, match="training needs one target for each of 1 images, got none"):
        model([torch.rand(3, 64, 80)])
    model.eval()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder_channels": 40}, "decoder_channels must be a multiple of 32 and of 4 heads, got 40"),
        ({"queries": 0}, "queries must be at least 1, got 0"),
        ({"stuff_classes": -1}, "stuff_classes must be at least 0, got -1"),
        ({"box_channels": 8}, "mask2former has no option box_channels; it accepts: .*queries"),
        ({"transformers_options": {"layers": 2}}, "no transformers_options layers; known: hidden_dim"),
        ({"image_mean": [0.5]}, "image_mean must have a number for each of 3 channels"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_transformers_is_imported_by_those_who_need_it():
    code = "import sys, dealias.models as m; m.list_models(); print('transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_without_transformers_the_error_names_what_to_install(monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("transformers") or name.endswith("mask2former_network"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install 'dealias\[mask2former\]'"):
        build()
