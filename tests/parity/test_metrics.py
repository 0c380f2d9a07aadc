# SPDX-License-Identifier: Apache-2.0
"""Scores and counts equal to those of the published evaluation, to the last pixel.

That evaluation renumbers the ground truth it was given in place, and again in each of its five passes, setting pixels
outside a pass's region to ignored in between. The library has no such order of its own: it maps labels once, then
counts once. So the passes are put together here from its plain functions, and its metric is compared wherever the
labels need no renumbering.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from dealias.metrics import (
    SegmentationMetrics,
    boundary_dilation,
    boundary_regions,
    dilate,
    label_edges,
    mask_to_boundary,
    region_histogram,
    remap_labels,
)

BYTE_IGNORED = 255
REGION_CODES = {"none": (0, 1, 2, 3), "biou": (1, 2, 3), "displacement": (3,), "FP": (1, 3), "FN": (2, 3)}


def published_remap(target: Tensor, config: dict[str, Any], reduce: bool = True) -> Tensor:
    """Entries of the label map one after another, then the zero label, for which 255 is always the ignored id."""
    for old, new in (config["label_map"] or {}).items():
        target = remap_labels(target, {old: new})
    return remap_labels(target, None, config["reduce_zero_label"] and reduce, BYTE_IGNORED)


def target_of_boundary_passes(target: Tensor, config: dict[str, Any]) -> Tensor:
    """What the plain pass leaves of the ground truth: mapped, zero ignored, the other ids not yet lowered."""
    target = published_remap(target, config, reduce=False)
    return remap_labels(target, {0: BYTE_IGNORED} if config["reduce_zero_label"] else None)


def published_areas(preds: list[Tensor], targets: list[Tensor], config: dict[str, Any], mode: str) -> dict[str, Tensor]:
    """Counts of each class over one pass; ids that are no class are counted in rows and columns of their own."""
    classes, ignore_index = config["num_classes"], config["ignore_index"]
    confusion = torch.zeros(257, 257, dtype=torch.int64)
    for pred, target in zip(preds, targets, strict=True):
        regions = boundary_regions(pred, target, edges="released")
        outside = ~torch.isin(regions, torch.tensor(REGION_CODES[mode]))
        counted = published_remap(target.masked_fill(outside, ignore_index), config)
        confusion += region_histogram(pred, counted, torch.zeros_like(regions), 257, ignore_index)[0]
    intersection = confusion.diagonal()[:classes]
    label, predicted = confusion.sum(1)[:classes], confusion.sum(0)[:classes]
    union = label + predicted - intersection
    return {"intersect": intersection, "union": union, "pred": predicted, "label": label}


def published_edge_rates(preds: list[Tensor], targets: list[Tensor]) -> dict[str, float]:
    """Edge pixels outside the other band, by the number of edge and band pixels together."""
    stray, total = {"fp_rate": 0, "fn_rate": 0}, {"fp_rate": 1e-8, "fn_rate": 1e-8}
    for pred, target in zip(preds, targets, strict=True):
        edges = [label_edges(labels, "released") for labels in (pred, target)]
        bands = [dilate(edge, 15) for edge in edges]
        for own, name in enumerate(("fp_rate", "fn_rate")):
            stray[name] += int((edges[own] & ~bands[1 - own]).sum())
            total[name] += int(edges[own].sum() + bands[own].sum())
    return {name: stray[name] / total[name] for name in stray}


def has_unknown_ids(preds: list[Tensor], targets: list[Tensor], config: dict[str, Any]) -> bool:
    """Whether some ids are neither a class nor ignored: the published code counts them, the metric refuses."""
    known = torch.arange(config["num_classes"])
    known_or_ignored = torch.cat([known, torch.tensor([config["ignore_index"]])])
    return not all(torch.isin(pred.long(), known).all() for pred in preds) or not all(
        torch.isin(target.long(), known_or_ignored).all() for target in targets
    )


def ratios(areas: dict[str, Tensor]) -> dict[str, Tensor]:
    hit, union, predicted, label = (areas[name].double() for name in ("intersect", "union", "pred", "label"))
    dice = 2 * hit / (predicted + label)
    precision, recall = hit / predicted, hit / label
    fscore = 2 * precision * recall / (precision + recall)
    scores = {"IoU": hit / union, "Acc": recall, "Dice": dice, "Fscore": fscore, "Precision": precision}
    return {"aAcc": hit.sum() / label.sum(), "Recall": recall, **scores}


def assert_ratio(found: Any, expected: Any, name: str, tolerance: float = 1e-12) -> None:
    pairs = [torch.as_tensor(value, dtype=torch.float64) for value in (found, expected)]
    torch.testing.assert_close(
        *pairs, rtol=tolerance, atol=tolerance, equal_nan=True, msg=lambda text: f"{name}: {text}"
    )


@pytest.mark.records("06_")
@pytest.mark.parametrize("mode", REGION_CODES)
def test_areas_of_each_region_are_the_recorded_counts(record: dict[str, Any], mode: str) -> None:
    for case in record["cases"]:
        expected = case[f"areas_{mode}"]
        areas = published_areas(case["pred"], case["gt"], case["config"], mode)
        for name, counts in areas.items():
            assert counts.tolist() == expected[name], f"{case['note']}: {name}"
        rates = published_edge_rates(case["pred"], case["gt"])
        for name, rate in rates.items():
            assert_ratio(rate if mode == "displacement" else 0.0, expected[name], name)
        scores = ratios(areas)
        for name in case[f"metrics_{mode}"].keys() & scores.keys():
            assert_ratio(scores[name], case[f"metrics_{mode}"][name], name)


@pytest.mark.records("06_")
def test_scores_of_the_whole_evaluation_are_recorded_ones(record: dict[str, Any]) -> None:
    for case in record["cases"]:
        targets = [target_of_boundary_passes(target, case["config"]) for target in case["gt"]]
        assert torch.equal(targets[0], case["gt_after_eval_metrics_first"])
        passes = {mode: ratios(published_areas(case["pred"], targets, case["config"], mode)) for mode in REGION_CODES}
        found = {"boundary_aAcc": passes["biou"]["aAcc"]}
        found |= {f"boundary_{name}": passes["biou"][name].nanmean() for name in ("IoU", "Acc")}
        for name, mode in {"FP": "FP", "FN": "FN", "mdisplacement": "displacement"}.items():
            found |= {f"{name}_a_rate": 1 - passes[mode]["aAcc"], f"{name}_rate": 1 - passes[mode]["Acc"].nanmean()}
        found |= {f"a_{name}": rate for name, rate in published_edge_rates(case["pred"], targets).items()}
        for name, expected in case["eval_metrics_all_res"].items():
            assert_ratio(found[name], expected, f"{case['note']}: {name}")


@pytest.mark.records("06_")
def test_metric_gives_the_recorded_scores(record: dict[str, Any]) -> None:
    for case in record["cases"]:
        config = case["config"]
        metric = SegmentationMetrics(config["num_classes"], config["ignore_index"], edges="released")
        preds, targets = case["pred"], [published_remap(target, config) for target in case["gt"]]
        if has_unknown_ids(preds, targets, config):
            with pytest.raises(ValueError, match="ids must be in"):
                for pred, target in zip(preds, targets, strict=True):
                    metric.update(pred[None], target[None])
            continue
        for pred, target in zip(preds, targets, strict=True):
            metric.update(pred[None], target[None])
        scores = metric.compute()
        plain = case["eval_metrics_return"]
        assert_ratio(scores["mIoU"], torch.tensor(plain["IoU"], dtype=torch.float64).nanmean(), "mIoU")
        assert_ratio(scores["mAcc"], torch.tensor(plain["Acc"], dtype=torch.float64).nanmean(), "mAcc")
        for name in ("aAcc", "IoU", "Acc"):
            assert_ratio(scores[name], plain[name], name)
            assert_ratio(scores[name], case["pre_eval"][name], name, tolerance=1e-6)
        if config["label_map"] or config["reduce_zero_label"]:
            continue
        recorded = case["eval_metrics_all_res"]
        boundary = {"BIoU": "boundary_IoU", "BAcc": "boundary_Acc"}
        boundary |= {"FErr": "FP_rate", "MErr": "FN_rate", "DErr": "mdisplacement_rate"}
        for name, published in boundary.items():
            assert_ratio(scores[name], recorded[published], f"{case['note']}: {name}")


@pytest.mark.records("06_")
def test_edges_of_both_kinds(record: dict[str, Any]) -> None:
    for case in record["cases"]:
        first = case["gt"][0]
        released, exact = label_edges(first, "released"), label_edges(first, "exact")
        assert torch.equal(released, case["gt_edge_1px_first"].bool())
        stats = {"laplacian": released, "true4": exact, "missed": exact & ~released, "extra": released & ~exact}
        assert {name: int(mask.sum()) for name, mask in stats.items()} == case["edge_stats"]


@pytest.mark.records("12_mask_to_boundary")
def test_mask_to_boundary(record: dict[str, Any]) -> None:
    for case in record["cases"]:
        mask = case["mask"]
        dilation = boundary_dilation(*mask.shape, case["dilation_ratio"])
        assert dilation == case["dilation_from_ratio"]
        assert torch.equal(mask_to_boundary(mask, dilation), case["boundary"].bool())
        explicit = mask_to_boundary(mask, case["seg_aliasing_dilation"])
        assert torch.equal(explicit, case["seg_aliasing_boundary"].bool())
