# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors and their weights are the oracle: the same numbers from the same weights."""

import pytest
import torch
from torch import nn
from torchvision.models import detection
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FrozenBatchNorm2d

from dealias.compat import load_torchvision_
from dealias.fusion import Fusion
from dealias.models.detectors import create_detector

SIZE = {"min_size": 64, "max_size": 96}
FEW = {"rpn_pre_nms_top_n_train": 20, "rpn_pre_nms_top_n_test": 10, "box_batch_size_per_image": 16}
KEEP_ALL = {"box_score_thresh": 0.0, "box_detections_per_img": 5, **FEW}
CLASSES = 4
FIRST = {True: "encoder.body.conv1.weight", False: "body.conv1.weight"}
SLIM = {"box_channels": 32, "mask_channels": 16}


def slim(norm_layer=nn.BatchNorm2d):
    """torchvision's Mask R-CNN with ResNet-18 and few channels in the heads."""
    return detection.MaskRCNN(
        resnet_fpn_backbone(backbone_name="resnet18", weights=None, norm_layer=norm_layer, trainable_layers=5),
        box_head=TwoMLPHead(256 * 49, SLIM["box_channels"]),
        box_predictor=FastRCNNPredictor(SLIM["box_channels"], CLASSES + 1),
        mask_head=MaskRCNNHeads(256, [SLIM["mask_channels"]] * 4, 1),
        mask_predictor=MaskRCNNPredictor(SLIM["mask_channels"], SLIM["mask_channels"], CLASSES + 1),
        **SIZE,
        **KEEP_ALL,
    )


def randomised(model):
    """Random norms, whose statistics fit the weights."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.1)
    with torch.no_grad():
        model.backbone.train()(torch.rand(2, 3, 64, 64))
    return model.eval()


def ours(arch="mask_rcnn", encoder="resnet18", fusion="nearest", **options):
    options = {"rcnn_options": KEEP_ALL, **SIZE, **(SLIM if encoder == "resnet18" else {}), **options}
    return create_detector(arch, encoder, classes=CLASSES, fusion=fusion, **options).eval()


@pytest.fixture(scope="module")
def mask_rcnn():
    torch.manual_seed(0)
    return randomised(slim())


def check_same(model, expected, images):
    with torch.no_grad():
        for found, wanted in zip(model(images), expected(images), strict=True):
            assert list(found) == list(wanted)
            assert len(wanted["boxes"]) > 0
            for name, value in wanted.items():
                torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("version", [1, 2])
def test_same_detections_and_masks_with_resnet50(version):
    build = detection.maskrcnn_resnet50_fpn if version == 1 else detection.maskrcnn_resnet50_fpn_v2
    expected = build(weights=None, weights_backbone=None, num_classes=CLASSES + 1, **SIZE, **KEEP_ALL)
    model = ours(encoder="resnet50", version=version)
    assert load_torchvision_(model, randomised(expected).state_dict()) == []
    check_same(model, expected, [torch.rand(3, 90, 131)])


def test_same_boxes():
    expected = slim()
    boxes = detection.FasterRCNN(
        expected.backbone,
        box_head=expected.roi_heads.box_head,
        box_predictor=expected.roi_heads.box_predictor,
        **SIZE,
        **KEEP_ALL,
    )
    options = {"box_channels": SLIM["box_channels"], "rcnn_options": KEEP_ALL, **SIZE}
    model = create_detector("faster_rcnn", "resnet18", classes=CLASSES, fusion="nearest", **options).eval()
    assert load_torchvision_(model, randomised(boxes).state_dict()) == []
    check_same(model, boxes, [torch.rand(3, 90, 131)])


def test_same_detections_in_a_batch_of_several_sizes(mask_rcnn):
    model = ours()
    assert load_torchvision_(model, {"state_dict": mask_rcnn.state_dict()}) == []
    check_same(model, mask_rcnn, [torch.rand(3, 90, 131), torch.rand(3, 64, 200)])


def test_same_losses_and_gradients(mask_rcnn):
    model = ours()
    load_torchvision_(model, mask_rcnn.state_dict())
    masks = torch.zeros(1, 70, 91, dtype=torch.uint8)
    masks[0, 20:50, 10:60] = 1
    target = {"boxes": torch.tensor([[10.0, 20.0, 60.0, 50.0]]), "labels": torch.tensor([2]), "masks": masks}
    images, results = [torch.rand(3, 70, 91)], []
    for network in (model, mask_rcnn):
        for module in network.modules():
            module.training = not isinstance(module, nn.BatchNorm2d)
        torch.manual_seed(1)
        losses = network(images, [target])
        sum(losses.values()).backward()
        results.append((losses, network.backbone.get_parameter(FIRST[network is model]).grad))
        network.eval()
    (found, gradient), (expected, wanted) = results
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, wanted, rtol=1e-3, atol=1e-6)


def test_frozen_norms_with_the_epsilon_of_the_published_weights(mask_rcnn):
    """As torchvision loads its published weights: fixed norms, eps 0, no batch counters."""
    weights = mask_rcnn.state_dict()
    expected = slim(FrozenBatchNorm2d).eval()
    expected.load_state_dict({key: x for key, x in weights.items() if not key.endswith("num_batches_tracked")})
    for module in expected.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.0
    model = ours(norm="frozen", norm_eps=0.0)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in expected.parameters())
    for state in (weights, expected.state_dict()):
        assert load_torchvision_(model, state) == []
    check_same(model, expected, [torch.rand(3, 90, 131)])


def test_names_of_the_first_releases(mask_rcnn):
    """torchvision itself reads files with these names; so do its published weights have them."""
    old = {}
    for key, value in mask_rcnn.state_dict().items():
        name = key.replace(".0.weight", ".weight").replace(".0.bias", ".bias") if "_blocks." in key else key
        name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        for i in range(4):
            name = name.replace(f"mask_head.{i}.0.", f"mask_head.mask_fcn{i + 1}.")
        old[name] = value
    assert "backbone.fpn.inner_blocks.0.weight" in old and "roi_heads.mask_head.mask_fcn4.bias" in old
    mask_rcnn.load_state_dict(old.copy())
    model = ours()
    assert load_torchvision_(model, old) == []
    check_same(model, mask_rcnn, [torch.rand(3, 90, 131)])


def test_new_parts_are_left_and_listed(mask_rcnn):
    model = ours("panoptic_fpn", fusion="freqfusion", prefilter="adaptive_blur", mixer="freqmix", stuff_classes=3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    left = load_torchvision_(model, mask_rcnn.state_dict())
    fusions = {name for name, module in model.named_modules() if isinstance(module, Fusion)}
    assert {key.partition(".path.")[0] for key in left if ".fusions." in key} == {"backbone.neck"}
    assert len(fusions) == 3
    kinds = ("semantic_head.", ".fusions.", ".prefilter.", ".mixer.")
    assert all(any(kind in f"{key}" for kind in kinds) for key in left)
    assert all(any(kind in key for key in left) for kind in kinds)
    assert all(torch.equal(model.state_dict()[key], before[key]) for key in left)
    weights = mask_rcnn.state_dict()
    assert torch.equal(model.backbone.neck.inner_blocks[2][0].weight, weights["backbone.fpn.inner_blocks.2.0.weight"])
    assert torch.equal(model.encoder.body.layer3[0].conv2.weight, weights["backbone.body.layer3.0.conv2.weight"])


def test_weights_that_do_not_fit(mask_rcnn):
    model, weights = ours(), mask_rcnn.state_dict()
    before = model.encoder.body.conv1.weight.clone()
    missing = {key: value for key, value in weights.items() if key != "backbone.body.layer1.0.conv1.weight"}
    with pytest.raises(ValueError, match=r"missing backbone\.body\.layer1\.0\.conv1\.weight"):
        load_torchvision_(model, missing)
    with pytest.raises(ValueError, match=r"unexpected backbone\.body\.fc\.weight"):
        load_torchvision_(model, weights | {"backbone.body.fc.weight": torch.zeros(3)})
    with pytest.raises(ValueError, match=r"cls_score\.bias is \(9,\) instead of \(5,\)"):
        load_torchvision_(model, weights | {"roi_heads.box_predictor.cls_score.bias": torch.zeros(9)})
    assert torch.equal(model.encoder.body.conv1.weight, before)
