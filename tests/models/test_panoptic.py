# SPDX-License-Identifier: Apache-2.0
"""The semantic branch of Panoptic FPN: its loss, its scores at the image's size, and the map that is made of both."""

import torch
import torch.nn.functional as F
from torchvision.ops import box_iou

from dealias.heads.panoptic_merge import MergeSettings, merge_panoptic
from dealias.models import create_detector

CLASSES, STUFF = 3, 2
FEW = {"rpn_pre_nms_top_n_train": 20, "rpn_pre_nms_top_n_test": 10, "box_batch_size_per_image": 16}


def build(**options):
    slim = {"decoder_channels": 8, "box_channels": 16, "mask_channels": 8, "semantic_channels": 8}
    slim |= {"min_size": 64, "max_size": 96, "stuff_classes": STUFF, "rcnn_options": {"box_score_thresh": 0.0, **FEW}}
    return create_detector("panoptic_fpn", "test_resnet", classes=CLASSES, fusion="nearest", **slim | options)


def logits_of(model, images):
    batch, _ = model.transform(images)
    return batch, model.semantic_head(list(model.backbone(batch.tensors).values()))


def test_semantic_loss_is_the_cross_entropy_of_labelled_pixels():
    model = build(semantic_weight=0.25)
    model.transform.training = False
    images = [torch.rand(3, 64, 96), torch.rand(3, 64, 70)]  # no resizing; the second is padded
    maps = [torch.randint(0, CLASSES + STUFF + 1, image.shape[1:]) for image in images]
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    targets = [nothing | {"semantic": m, "masks": torch.zeros(0, *m.shape, dtype=torch.uint8)} for m in maps]
    model.eval()
    with torch.no_grad():
        _, logits = logits_of(model, images)
        scores = F.interpolate(logits, size=(64, 96), mode="bilinear", align_corners=False).softmax(1)
        model.training = model.rpn.training = model.roi_heads.training = True
        found = model(images, targets)["loss_semantic"]
    terms = []
    for i, categories in enumerate(maps):
        for y, x in categories.nonzero().tolist():
            channel = max(int(categories[y, x]) - CLASSES, 0)  # all things are one class
            terms.append(-scores[i, channel, y, x].log())
    torch.testing.assert_close(found, 0.25 * torch.stack(terms).mean())


def test_semantic_map_follows_the_resized_image():
    """A map that is twice as large as the image comes down with it: the loss of a perfect branch stays small."""
    model = build()
    image, semantic = torch.rand(3, 128, 160), torch.full((128, 160), CLASSES + 1)
    semantic[:, 80:] = CLASSES + 2

    class Perfect(torch.nn.Module):
        def forward(self, levels):
            height, width = levels[0].shape[-2:]
            logits = torch.full((1, 1 + STUFF, height, width), -20.0)
            logits[:, 1, :, : width // 2 - 1] = 20.0  # the padded width is 96, the resized one 80
            edge = 80 // 8
            logits[:, 1, :, :edge], logits[:, 2, :, :edge] = 20.0, -20.0
            logits[:, 1, :, edge:], logits[:, 2, :, edge:] = -20.0, 20.0
            return logits

    model.semantic_head = Perfect()
    target = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.long),
        "masks": torch.zeros(0, 128, 160, dtype=torch.uint8),
        "semantic": semantic,
    }
    assert model([image], [target])["loss_semantic"] < 0.5
    flipped = target | {"semantic": semantic.flip(1)}
    assert model([image], [flipped])["loss_semantic"] > 10
    void = target | {"semantic": torch.zeros_like(semantic)}
    assert model([image], [void])["loss_semantic"] == 0


def test_semantic_scores_are_those_of_the_image_without_its_padding():
    model = build().eval()
    images = [torch.rand(3, 128, 140), torch.rand(3, 64, 96)]  # 64 x 70 in a batch of 64 x 96
    with torch.no_grad():
        _, logits = logits_of(model, images)
        padded = F.interpolate(logits[:1], size=(64, 96), mode="bilinear", align_corners=False)
        expected = F.interpolate(padded[..., :70], size=(128, 140), mode="bilinear", align_corners=False)
        torch.testing.assert_close(model(images)[0]["semantic"], expected[0])


def test_panoptic_map_is_the_merge_of_what_is_returned():
    model = build(score_threshold=0.1, overlap_threshold=0.6, stuff_area=50).eval()
    with torch.no_grad():
        found = model([torch.rand(3, 64, 96)])[0]
    assert model.merge_settings == MergeSettings(0.1, 0.6, 50)
    expected = merge_panoptic(
        found["masks"][:, 0] >= 0.5,
        found["labels"],
        found["scores"],
        found["semantic"].argmax(0),
        CLASSES,
        MergeSettings(0.1, 0.6, 50),
    )
    assert torch.equal(found["panoptic"]["ids"], expected["ids"])
    assert found["panoptic"]["segments_info"] == expected["segments_info"] != []


def test_learns_one_image():
    torch.manual_seed(0)
    semantic = torch.full((96, 96), CLASSES + 1)
    semantic[48:] = CLASSES + 2
    image = torch.stack([torch.zeros(96, 96), semantic == CLASSES + 2, semantic == CLASSES + 1]).float()
    boxes = torch.tensor([[10, 12, 42, 40], [50, 30, 86, 80]])
    masks = torch.zeros(2, 96, 96, dtype=torch.uint8)
    for label, (mask, (left, top, right, bottom)) in enumerate(zip(masks, boxes.tolist(), strict=True), start=1):
        mask[top:bottom, left:right] = 1
        semantic[mask == 1] = label
        image[:, mask == 1] = float(label - 1)
    target = {"boxes": boxes.float(), "labels": torch.tensor([1, 2]), "masks": masks, "semantic": semantic}
    few = {"rpn_pre_nms_top_n_train": 30, "rpn_pre_nms_top_n_test": 20, "box_batch_size_per_image": 16}
    widths = {"decoder_channels": 32, "box_channels": 64, "mask_channels": 16, "semantic_channels": 16}
    sizes = {"min_size": 96, "anchor_sizes": (8, 16, 32, 48, 64), "stuff_area": 100}
    model = build(**widths, **sizes, rcnn_options=few)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 80)
    for _ in range(80):
        loss = sum(model([image], [target]).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        found = model.eval()([image])[0]
    best = found["labels"][:2].argsort()
    assert found["labels"][:2].sort().values.tolist() == [1, 2]
    assert box_iou(found["boxes"][:2][best], boxes.float()).diag().min() > 0.7
    ids, segments = found["panoptic"]["ids"], found["panoptic"]["segments_info"]
    categories = torch.tensor([0, *(segment["category_id"] for segment in segments)])[ids]
    assert (categories == semantic).float().mean() > 0.9
