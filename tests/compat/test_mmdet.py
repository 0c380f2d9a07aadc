# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of mmdetection: every key of the published networks has its place, and rows are in our order.

The pyramid is compared with the published neck under its own names, the other parts with what they are made of here.
"""

import pytest
import torch
from torchvision.models import resnet18, resnet50

from dealias.compat import FreqFusionCARAFEFPN, load_published
from dealias.compat.conversion import convert
from dealias.models import PanopticModel, RCNNModel, read_model_file
from dealias.models.mmdet_boxes import CentredRoIAlign, UnroundedAnchors

SMALL = {"width": 16, "box": 24, "mask": 8, "semantic": 8, "things": 5, "stuff": 3}
SIZES = {"detector_options": {"min_size": 64, "max_size": 128}}


def head_shapes(width, box, mask, semantic, things, stuff, anchors=3):
    """Names and shapes below ``rpn_head``, ``roi_head`` and ``semantic_head``, biases included."""
    kernels = {
        "rpn_head.rpn_conv": (width, width, 3, 3),
        "rpn_head.rpn_cls": (anchors, width, 1, 1),
        "rpn_head.rpn_reg": (4 * anchors, width, 1, 1),
        "roi_head.bbox_head.fc_cls": (things + 1, box),
        "roi_head.bbox_head.fc_reg": (4 * things, box),
        "roi_head.bbox_head.shared_fcs.0": (box, width * 49),
        "roi_head.bbox_head.shared_fcs.1": (box, box),
        **{f"roi_head.mask_head.convs.{i}.conv": (mask, width if i == 0 else mask, 3, 3) for i in range(4)},
        "roi_head.mask_head.upsample": (mask, mask, 2, 2),
        "roi_head.mask_head.conv_logits": (things, mask, 1, 1),
        "semantic_head.conv_logits": (stuff + 1, semantic, 1, 1),
    }
    shapes = {f"{name}.weight": shape for name, shape in kernels.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in kernels.items()}
    for level in range(4):
        for step in range(max(level, 1)):
            name = f"semantic_head.conv_upsample_layers.{level}.conv.{step}"
            shapes[f"{name}.conv.weight"] = (semantic, semantic if step else width, 3, 3)
            shapes |= {f"{name}.gn.{part}": (semantic,) for part in ("weight", "bias")}
    return shapes


def checkpoint(body, channels, sizes=SMALL, without=(), **neck_options):
    torch.manual_seed(0)
    options = {"feature_resample": True, "feature_resample_group": 4, "compress_ratio": 2} | neck_options
    neck = FreqFusionCARAFEFPN(list(channels), sizes["width"], 5, **options)
    backbone = {key: value for key, value in body.state_dict().items() if not key.startswith("fc.")}
    weights = {f"backbone.{key}": value for key, value in backbone.items()}
    weights |= {f"neck.{key}": value for key, value in neck.state_dict().items()}
    weights |= {key: 0.1 * torch.randn(shape) for key, shape in head_shapes(**sizes).items()}
    return neck.eval(), {key: value for key, value in weights.items() if not key.startswith(tuple(without))}


@pytest.mark.parametrize(
    ("without", "arch"),
    [
        (("semantic_head.", "roi_head.mask_head."), "faster_rcnn"),
        (("semantic_head.",), "mask_rcnn"),
        ((), "panoptic_fpn"),
    ],
)
def test_every_key_of_the_published_size(tmp_path, without, arch):
    sizes = {"width": 256, "box": 1024, "mask": 256, "semantic": 128, "things": 80, "stuff": 53}
    norm = arch != "panoptic_fpn"  # as published
    _, weights = checkpoint(
        resnet50(), (256, 512, 1024, 2048), sizes, without, feature_resample_norm=norm, compress_ratio=8
    )
    torch.save({"state_dict": weights, "meta": {}}, tmp_path / "published.pth")
    conversion = convert(tmp_path / "published.pth")
    assert conversion.layout == "mmdet" and conversion.matching.problems() == []
    assert set(conversion.matching.used) | set(conversion.plan.left_out) == set(weights)
    fixed = {key for key in weights if key.endswith(("hamming_lowpass", "hamming_highpass", "init_pos"))}
    counters = {key for key in weights if key.endswith("num_batches_tracked")}
    assert set(conversion.plan.left_out) == fixed | counters
    config = conversion.network.config
    assert (config["arch"], config["classes"], config["encoder_name"]) == (arch, 80, "resnet50")
    assert (config["size_divisible"], config["boxes"], config["extra_level"]) == (64, "mmdetection", "fused")
    assert config["fusion_options"]["feature_resample_norm"] == norm


@pytest.fixture(scope="module")
def small():
    neck, weights = checkpoint(resnet18(), (64, 128, 256, 512))
    return neck, weights, load_published(weights, layout="mmdet", **SIZES)


def test_pyramid(small):
    neck, _, network = small
    maps = [torch.randn(1, c, 32 // 2**i, 48 // 2**i) for i, c in enumerate((64, 128, 256, 512))]
    with torch.no_grad():
        levels = network.backbone.neck({str(i): x for i, x in enumerate(maps)})
        assert list(levels) == ["0", "1", "2", "3", "4"]
        for level, published in zip(levels.values(), neck(maps), strict=True):
            torch.testing.assert_close(level, published)


def test_rows(small):
    _, weights, network = small
    x, grid = torch.randn(7, SMALL["box"]), torch.randn(2, SMALL["mask"], 4, 4)
    boxes = network.roi_heads.box_predictor
    scores, regression = boxes(x)
    published = [
        x @ weights[f"roi_head.bbox_head.{n}.weight"].T + weights[f"roi_head.bbox_head.{n}.bias"]
        for n in ("fc_cls", "fc_reg")
    ]
    torch.testing.assert_close(scores, torch.cat([published[0][:, -1:], published[0][:, :-1]], 1))  # background first
    torch.testing.assert_close(regression[:, 4:], published[1])
    logits = network.roi_heads.mask_predictor.mask_fcn_logits(grid)
    kernel, bias = (weights[f"roi_head.mask_head.conv_logits.{part}"] for part in ("weight", "bias"))
    torch.testing.assert_close(logits[:, 1:], torch.nn.functional.conv2d(grid, kernel, bias))
    kernel, bias = (weights[f"semantic_head.conv_logits.{part}"] for part in ("weight", "bias"))
    found = network.semantic_head.classifier.eval()(grid)
    torch.testing.assert_close(found, torch.nn.functional.conv2d(grid, kernel, bias)[:, [3, 0, 1, 2]])  # things first


def test_written_and_read_again(small, tmp_path):
    _, weights, network = small
    torch.save(weights, tmp_path / "published.pth")
    conversion = convert(tmp_path / "published.pth", options=SIZES)
    conversion.write(tmp_path / "own.safetensors")
    again, metadata = read_model_file(tmp_path / "own.safetensors")
    assert metadata["layout"] == "mmdet" and isinstance(again, PanopticModel)
    image = torch.rand(3, 70, 91)
    with torch.no_grad():
        first, second = network([image])[0], again([image])[0]
    assert len(first["scores"]) and torch.equal(first["boxes"], second["boxes"])
    assert torch.equal(first["panoptic"]["ids"], second["panoptic"]["ids"])


def test_plain_pyramid():
    _, weights = checkpoint(
        resnet18(),
        (64, 128, 256, 512),
        without=("neck.alignment", "neck.lateral_convs.4", "neck.fpn_convs.4", "semantic_head."),
    )
    network = load_published(weights, layout="mmdet", **SIZES)
    assert isinstance(network, RCNNModel)
    assert [network.config[name] for name in ("fusion", "extra_level", "size_divisible")] == ["nearest", "pooled", 32]


def test_what_is_refused():
    _, weights = checkpoint(resnet18(), (64, 128, 256, 512))
    with pytest.raises(ValueError, match="fc_reg must have 20 rows for 5 classes, found 4"):
        load_published(weights | {"roi_head.bbox_head.fc_reg.weight": torch.zeros(4, 24)}, layout="mmdet")
    with pytest.raises(ValueError, match=r"do not fit: unexpected backbone\.layer4\.0\.conv2_offset\.weight"):
        load_published(weights | {"backbone.layer4.0.conv2_offset.weight": torch.zeros(1)}, layout="mmdet", **SIZES)


def test_anchors_are_not_rounded_and_strides_are_fixed():
    anchors = UnroundedAnchors(((32,), (64,)), ((0.5, 2.0),) * 2, (4, 64))
    images = type("Images", (), {"tensors": torch.zeros(1, 3, 80, 72), "image_sizes": [(80, 72)]})()
    found = anchors(images, [torch.zeros(1, 1, 20, 18), torch.zeros(1, 1, 2, 2)])[0]
    assert found.shape == ((20 * 18 + 4) * 2, 4)
    for number, stride, columns, side in ((0, 4, 18, 32), (720, 64, 2, 64)):
        for row, column, k, ratio in ((0, 0, 0, 0.5), (1, 1, 1, 2.0)):
            height, width = side * ratio**0.5, side / ratio**0.5
            x, y = column * stride, row * stride
            expected = torch.tensor([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
            torch.testing.assert_close(found[number + (row * columns + column) * 2 + k], expected)


def test_regions_are_sampled_by_the_centres_of_pixels():
    """A map that holds the positions of its pixels' centres gives the positions of the centres of the bins."""
    align = CentredRoIAlign(2, (4, 8))
    levels = {}
    for name, stride in (("0", 4), ("1", 8)):
        side = torch.arange(512 // stride) * stride + stride / 2
        levels[name] = torch.stack(torch.meshgrid(side, side, indexing="ij"))[None].repeat(2, 1, 1, 1)
    boxes = [torch.tensor([[40.0, 60.0, 88.0, 124.0]]), torch.tensor([[100.0, 90.0, 400.0, 410.0], [20, 20, 50, 60]])]
    found = align(levels, boxes, [(512, 512)] * 2)
    for region, (x1, y1, x2, y2) in zip(found, torch.cat(boxes).tolist(), strict=True):
        rows = torch.tensor([0.25, 0.75]) * (y2 - y1) + y1
        columns = torch.tensor([0.25, 0.75]) * (x2 - x1) + x1
        torch.testing.assert_close(region, torch.stack(torch.meshgrid(rows, columns, indexing="ij")))
    sizes = torch.tensor([[0, 0, 111.0, 111.0], [0, 0, 113.0, 113.0]])
    assert align._levels(sizes).tolist() == [0, 1]
