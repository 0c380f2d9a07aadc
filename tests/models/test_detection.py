# SPDX-License-Identifier: Apache-2.0
"""What every detector does: any size, empty targets, training, configurations; sizes as published."""

import json
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from dealias.fusion import Fusion
from dealias.models import DetectionModel, PanopticModel, create_detector, create_model, list_models, rebuild
from dealias.models.rcnn import RCNNS

FEW = {"rpn_pre_nms_top_n_train": 20, "rpn_pre_nms_top_n_test": 10, "box_batch_size_per_image": 16}
SLIM = {"decoder_channels": 16, "box_channels": 16, "min_size": 64, "max_size": 96}
CLASSES, STUFF = 3, 2


def build(arch="mask_rcnn", fusion="freqfusion", **options):
    torch.manual_seed(0)
    own = {
        "faster_rcnn": {},
        "mask_rcnn": {"mask_channels": 8},
        "panoptic_fpn": {"mask_channels": 8, "stuff_classes": STUFF, "semantic_channels": 8},
    }
    options = {**SLIM, **own[arch], "rcnn_options": {"box_score_thresh": 0.0, **FEW}} | options
    return create_detector(arch, "test_resnet", classes=CLASSES, fusion=fusion, **options)


def target(size, boxes=((8.0, 10.0, 40.0, 50.0), (30.0, 5.0, 31.0, 6.0))):
    masks = torch.zeros(len(boxes), *size, dtype=torch.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[int(top) : int(bottom), int(left) : int(right)] = 1
    semantic = torch.full(size, CLASSES + 1)
    semantic[:, : size[1] // 2] = 2
    semantic[:4] = 0
    return {
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.arange(len(boxes)) + 1,
        "masks": masks,
        "semantic": semantic,
    }


@pytest.fixture(params=RCNNS, scope="module")
def model(request):
    return build(request.param).eval()


@pytest.mark.parametrize(
    ("arch", "classes", "count"),
    [("faster_rcnn", 90, 41_808_406), ("mask_rcnn", 90, 44_454_513), ("panoptic_fpn", 80, 46_031_467)],
)
def test_published_sizes(arch, classes, count):
    """46.0 M of Panoptic FPN and +0.3 M of FreqFusion: table of arXiv 2408.12879; the others: torchvision's."""

    def parameters(fusion):
        with torch.device("meta"):
            network = create_model(arch, "resnet50", classes=classes, fusion=fusion)
        return sum(p.numel() for p in network.parameters())

    assert parameters("nearest") == count
    assert parameters("freqfusion") - count == 314_070


def test_sizes_of_version_2():
    with torch.device("meta"):
        models = [create_detector(a, classes=90, fusion="nearest", version=2) for a in ("faster_rcnn", "mask_rcnn")]
    assert [sum(p.numel() for p in m.parameters()) for m in models] == [43_712_278, 46_359_409]


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (64, 1333), (1333, 64)])
def test_images_of_any_size(model, size):
    with torch.no_grad():
        found = model([torch.rand(3, *size), torch.rand(3, 70, 80)])[0]
    count = len(found["boxes"])
    assert count > 0
    assert found["labels"].min() >= 1 and found["labels"].max() <= CLASSES
    assert found["boxes"].min() >= 0 and (found["boxes"].amax(0)[2:] <= torch.tensor(size).flip(0) + 1e-3).all()
    if model.has_masks:
        assert found["masks"].shape == (count, 1, *size)
    if isinstance(model, PanopticModel):
        assert found["semantic"].shape == (1 + STUFF, *size)
        assert found["panoptic"]["ids"].shape == size


def test_padding_to_odd_sizes_reaches_the_fusions():
    sizes = []
    network = build(min_size=45, max_size=75).eval()
    for module in network.modules():
        if isinstance(module, Fusion):
            module.register_forward_hook(lambda m, args, out: sizes.append(tuple(args[1].shape[-2:])))
    network([torch.rand(3, 90, 151)])
    assert sizes == [(2, 3), (4, 6), (8, 12)]


def test_a_batch_is_a_list_of_images(model):
    images = torch.rand(2, 3, 64, 80)
    with torch.no_grad():
        assert torch.equal(model(images)[1]["boxes"], model(list(images))[1]["boxes"])


@pytest.mark.parametrize("arch", RCNNS)
def test_training_step_with_an_empty_target_reaches_every_parameter(arch):
    network = build(arch)
    images, targets = [torch.rand(3, 70, 91), torch.rand(3, 64, 80)], [target((70, 91)), target((64, 80), ())]
    losses = network(images, targets)
    names = {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    names |= {"loss_mask"} if arch != "faster_rcnn" else set()
    names |= {"loss_semantic"} if arch == "panoptic_fpn" else set()
    assert set(losses) == names
    sum(losses.values()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    assert targets[0]["boxes"][0].tolist() == [8.0, 10.0, 40.0, 50.0]  # the caller's are left as they are
    losses = network(images[1:], targets[1:])
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize("arch", RCNNS)
def test_bfloat16_keeps_coordinates_exact(arch):
    network = build(arch, min_size=160, max_size=400)
    with torch.autocast("cpu", torch.bfloat16):
        losses = network([torch.rand(3, 80, 200)], [target((80, 200))])
        found = network.eval()([torch.rand(3, 80, 200)])[0]
    assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())
    boxes = found["boxes"]
    assert boxes.dtype == torch.float32
    inside = boxes[(boxes > 128) & (boxes < 199)]
    assert len(inside) > 3
    assert not torch.equal(inside.bfloat16().float(), inside)


def test_double_precision():
    network = build().double().eval()
    assert network([torch.rand(3, 64, 80, dtype=torch.float64)])[0]["boxes"].dtype == torch.float64


def test_weights_and_configuration_rebuild_the_network(model, tmp_path):
    torch.save({"config": json.dumps(model.config), "weights": model.state_dict()}, tmp_path / "network.pt")
    stored = torch.load(tmp_path / "network.pt", weights_only=True)
    other = rebuild(json.loads(stored["config"])).eval()
    other.load_state_dict(stored["weights"])
    assert type(other) is type(model) and other.config == model.config
    images = [torch.rand(3, 70, 91)]
    with torch.no_grad():
        found, expected = other(images)[0], model(images)[0]
    assert torch.equal(found["boxes"], expected["boxes"]) and torch.equal(found["scores"], expected["scores"])


def test_seed_gives_the_same_other_weights_whatever_the_fusion():
    variants = [("nearest", None), ("freqfusion", "adaptive_blur")]
    states = [build("panoptic_fpn", fusion, prefilter=prefilter).state_dict() for fusion, prefilter in variants]
    assert all(torch.equal(states[1][key], value) for key, value in states[0].items())


def test_parts_split_the_parameters(model):
    network = build(model.config["arch"], prefilter="adaptive_blur", mixer="freqmix") if model.has_masks else model
    parts = network.parameter_parts()
    assert list(parts) == ["fusion", "prefilter", "mixer", "modulation", "encoder", "decoder"]
    counts = {name: {id(p) for p in parameters} for name, parameters in parts.items()}
    assert sum(map(len, counts.values())) == len(set().union(*counts.values())) == len(list(network.parameters()))
    present = {name for name, found in counts.items() if found}
    assert present == {"fusion", "encoder", "decoder"} | ({"prefilter", "mixer"} if model.has_masks else set())
    assert counts["fusion"] == {id(p) for m in network.modules() if isinstance(m, Fusion) for p in m.parameters()}


def test_options_reach_their_part():
    options = {"norm": "frozen", "norm_eps": 0.01, "frozen_stages": 2, "anchor_sizes": (8, 16, 32, 64, 128)}
    network = build("mask_rcnn", "nearest", **options, image_mean=(0.1, 0.2, 0.3), min_size=(48, 64))
    norms = [m for m in network.encoder.modules() if isinstance(m, FrozenBatchNorm2d)]
    assert len(norms) > 10 and {norm.eps for norm in norms} == {0.01}
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    learning = {name.split(".")[1] for name, p in network.encoder.named_parameters() if p.requires_grad}
    assert learning == {"layer3", "layer4"}
    assert network.rpn.anchor_generator.sizes == ((8,), (16,), (32,), (64,), (128,))
    assert network.transform.image_mean == [0.1, 0.2, 0.3] and network.transform.min_size == (48, 64)
    assert network.roi_heads.score_thresh == 0.0
    assert network.config["min_size"] == [48, 64]


def test_create_model_knows_detectors():
    assert set(RCNNS) <= set(list_models())
    assert isinstance(create_model("mask_rcnn", "test_resnet", classes=2, **SLIM, mask_channels=8), DetectionModel)
    assert create_model("faster_rcnn", "test_resnet", **SLIM).config["fusion"] == "bilinear"
    assert create_model("faster_rcnn", "test_resnet", modulation="none", **SLIM).config["classes"] == 19
    for wrong in ({"modulation": "ars"}, {"modulation_options": {"fwhm": 2}}, {"output_stride": 16}):
        with pytest.raises(ValueError, match=r"faster_rcnn (has no modulation|needs an output_stride of 32), got"):
            create_model("faster_rcnn", "test_resnet", **wrong)
    levels = build().backbone(torch.rand(1, 3, 64, 96))
    assert isinstance(levels, OrderedDict) and list(levels) == ["0", "1", "2", "3", "pool"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.tensor([1, 4])}, "target 0: labels must be 1 to 3, got 4"),
        ({"labels": torch.tensor([0, 1])}, "target 0: labels must be 1 to 3, got 0"),
        ({"boxes": torch.tensor([[5.0, 5, 5, 9], [1, 1, 2, 2]])}, r"x1 < x2 and y1 < y2, got \[5.0, 5.0, 5.0, 9.0\]"),
        ({"boxes": torch.zeros(2, 5)}, r"boxes must be \[N, 4\] of a float type, got \(2, 5\)"),
        ({"masks": torch.zeros(2, 9, 9)}, r"masks must be \(2, 64, 80\), got \(2, 9, 9\)"),
        ({"semantic": torch.full((64, 80), 6)}, r"semantic must be 0 \(void\) to 5, got 6"),
        ({"semantic": torch.zeros(64, 80)}, r"semantic must be \(64, 80\) of an integer type"),
    ],
)
def test_wrong_targets(change, message):
    with pytest.raises(ValueError, match=message):
        build("panoptic_fpn", "nearest")([torch.rand(3, 64, 80)], [target((64, 80)) | change])


def test_wrong_calls():
    network, image = build(fusion="nearest"), torch.rand(3, 64, 80)
    with pytest.raises(ValueError, match="one target for each of 1 images, got none"):
        network([image])
    with pytest.raises(ValueError, match="target 0: masks missing; it has boxes, labels"):
        network([image], [{k: v for k, v in target((64, 80)).items() if k in ("boxes", "labels")}])
    for wrong in (torch.rand(4, 64, 80), torch.zeros(3, 64, 80, dtype=torch.uint8), torch.rand(3, 0, 80)):
        with pytest.raises(ValueError, match=r"image 1 must be \[3, H, W\] of a float type"):
            network.eval()([image, wrong])
    with pytest.raises(ValueError, match="at least one image"):
        network([])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arch": "retinanet"}, "unknown detector 'retinanet'; known: faster_rcnn, mask_rcnn, panoptic_fpn"),
        ({"mask_channels": 3}, "faster_rcnn has no option mask_channels; it accepts: .*decoder_channels"),
        ({"box_channels": 0}, "box_channels must be at least 1, got 0"),
        ({"version": 3}, "version must be 1 or 2"),
        ({"norm": "layer"}, "norm must be 'batch' or 'frozen'"),
        ({"frozen_stages": 5}, "frozen_stages must be 0 to 4"),
        ({"anchor_sizes": (1, 2)}, "anchor_sizes must be five"),
        ({"rcnn_options": {"rpn_head": 1}}, "no rcnn_options rpn_head; known: rpn_pre_nms"),
        ({"in_channels": 4}, "image_mean must have a number for each of 4 channels"),
        ({"fusion": "bicubic"}, "unknown fusion 'bicubic'"),
        ({"encoder_name": "test_convnext", "norm": "frozen"}, "no batch norms to freeze"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_detector(**{"arch": "faster_rcnn", "encoder_name": "test_resnet", **SLIM, **arguments})
