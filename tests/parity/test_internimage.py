# SPDX-License-Identifier: Apache-2.0
"""DCNv3 and InternImage against recorded numbers of the published code."""

import pytest
import torch

from dealias import compat
from dealias.compat import internimage

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@DTYPES
@pytest.mark.records("11_dcnv3_op")
def test_operator(record, dtype, within):
    assert record["cases"]
    for number, case in enumerate(record["cases"]):
        leaves = {name: x.to(dtype).requires_grad_() for name, x in case["inputs"].items()}
        out = compat.dcnv3_core_pytorch(*leaves.values(), *published_arguments(case["config"]))
        grads = torch.autograd.grad(out, leaves.values(), case["cotangents"]["out"].to(dtype))
        written = {
            key.removesuffix(f".{number}"): value["max_abs"]
            for key, value in record["fp32_vs_fp64"].items()
            if key.endswith(f".{number}")
        }
        exact = case.get("outputs64", {}).get("out") if dtype == torch.float64 else None
        if exact is None:
            within(out, case["outputs"]["out"], written["outputs.out"])
        else:
            within(out, exact, None)
        for name, grad in zip(leaves, grads, strict=True):
            within(grad, case["grads"][name], written[f"grads.{name}"])


def published_arguments(config):
    twice = [config[name] for name in ("kernel", "stride", "pad", "dilation") for _ in range(2)]
    extra = [config["remove_center"]] if "remove_center" in config else []
    return [*twice, config["group"], config["group_channels"], config["offset_scale"], *extra]


@DTYPES
@pytest.mark.records("11_dcnv3_module")
def test_module(record, dtype, follows):
    module = compat.DCNv3(**record["config"])
    follows(record, dtype, module, lambda x: {"out": module(x)})


@pytest.mark.records("11_internimage")
def test_backbone(record, recipe_weights, within):
    config = record["config"]
    encoder = compat.load_published(recipe_weights(record), layout="internimage", **untold(config))
    assert sum(p.numel() for p in encoder.parameters()) == record["n_params"] - unused(record)
    expected = [f"backbone.{key}" for key in record["keys"] if not never_used(key, config)]
    assert sorted(internimage.to_published(encoder)) == sorted(expected)
    with torch.no_grad():
        features = encoder(record["inputs"]["img"])
    assert len(features) == len(record["outputs"])
    for number, feature in enumerate(features, 1):
        written = record["fp32_vs_fp64"][f"outputs.s{number}"]["max_abs"]
        within(feature, record["outputs"][f"s{number}"], written)


def untold(config):
    """Published options that a checkpoint does not tell, or not always, as options of the layout."""
    options = {"norm_position": "after"} if config.get("post_norm") else {}
    options |= {name: config[name] for name in ("offset_scale", "remove_center") if name in config}
    if "act_layer" in config:
        options["activation"] = config["act_layer"].lower()
    if config.get("level2_post_norm"):
        options["norms_after"] = config["level2_post_norm_block_ids"]
    return options


def never_used(key, config):
    """Whether the published network makes a weight and does not read it: second norms of branches with gains."""
    return ".res_post_norm" in key and (config.get("layer_scale") is not None or config.get("post_norm", False))


def unused(record):
    shapes = [
        torch.Size(shape) for key, (shape, *_) in record["weight_check"].items() if never_used(key, record["config"])
    ]
    return sum(shape.numel() for shape in shapes)
