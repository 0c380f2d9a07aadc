# SPDX-License-Identifier: Apache-2.0
"""Files of published checkpoints, converted, written, loaded again: recorded numbers of the published networks.

Records of a backbone alone are completed to a checkpoint by the heads of a new network.
"""

import re

import numpy as np
import pytest
import torch

from dealias.compat import seg_aliasing
from dealias.compat.conversion import convert
from dealias.models import create_model, read_part_file
from dealias.train import load_checkpoint

PREFILTERS = {"none": "none", "blur": "blur", "adablur": "adaptive_blur", "flc": "daf"}


@pytest.fixture
def through_files(tmp_path):
    """``through_files(weights, **options)``: the conversion of a file of mmcv, and the path of what it wrote."""

    def run(weights, **options):
        content = {"meta": {"epoch": 1}, "optimizer": {"state": {}}, "state_dict": weights}
        torch.save(content, tmp_path / "published.pth")
        conversion = convert(tmp_path / "published.pth", options=options)
        assert conversion.matching.problems() == []
        assert conversion.file.dropped == ("meta", "optimizer")
        conversion.write(tmp_path / "own.safetensors")
        return conversion, tmp_path / "own.safetensors"

    return run


@pytest.mark.records("05_nyresnet", exclude=("05_nyresnet50_none",))
def test_seg_aliasing(record, recipe_weights, through_files, within):
    whole = "decode_head" in record["config"]
    config = record["config"]["backbone"] if whole else record["config"]
    weights, options = recipe_weights(record), {"prefilter": PREFILTERS[config["blur_type"]]}
    if options["prefilter"] == "daf":
        options["prefilter_options"] = {"cutoff": config["freq_thres"]}
    if not whole:
        weights = {f"backbone.{key}": value for key, value in weights.items()} | new_heads(weights)
    if options["prefilter"] == "blur":
        options["prefilter_options"] = {
            "taps": next(s[-1] for k, (s, *_) in record["weight_check"].items() if "filt" in k)
        }
    conversion, path = through_files(weights, **options)
    assert conversion.layout == "seg-aliasing"
    network, meta = load_checkpoint(path)
    assert meta["mean"] == [0.485, 0.456, 0.406] and meta["classes"] is None
    if not whole:
        features = run(network.encoder, record["inputs"]["img"])
        check_levels(record, features, "c", 2, within)
        return
    for case in record["cases"]:
        images = case["img"]
        suffix = f".{images.shape[2]}x{images.shape[3]}"
        decoded = run(lambda x: network.decoder(network.encoder(x)), images)
        within(decoded, case["outputs"]["decode_logits"], written(record, f"decode_logits{suffix}"))
        assert torch.equal(run(network, images).argmax(1).to(torch.uint8), case["outputs"]["pred"])


@pytest.mark.records("07_segnext")
def test_segnext(record, recipe_weights, through_files, within):
    ham = record["config"]["decode_head"]["ham_kwargs"]
    decomposition = {"rank": ham["MD_R"], "groups": ham["MD_S"], "eval_steps": ham["EVAL_STEPS"]}
    weights = recipe_weights(record) | windows(record)
    conversion, path = through_files(weights, decomposition_options=decomposition | {"seed": record["bases_seed"]})
    assert conversion.layout == "segnext"
    network, _ = load_checkpoint(path)
    layer = network.decoder.hamburger.decomposition
    for case in record["cases"]:
        images, outputs = case["img"], case["outputs"]
        suffix = f".{images.shape[2]}x{images.shape[3]}"
        layer.bases = case["nmf_bases_raw"].unflatten(0, (-1, layer.bases.shape[1]))
        logits = run(network, images)
        within(logits[:, :, ::4, ::4], outputs["full_logits_every4px"], written(record, "full" + suffix))
        assert torch.equal(logits.argmax(1).to(torch.uint8), outputs["pred"])


@pytest.mark.records("07_mscan")
def test_mscan(record, recipe_weights, through_files, within):
    conversion, path = through_files(recipe_weights(record) | {"head.weight": torch.zeros(10, 256)})
    assert conversion.layout == "segnext" and conversion.plan.left_out == {"head.weight": "of the head"}
    check_levels(record, run(read_part_file(path)[0], record["inputs"]["img"]), "s", 1, within)


@pytest.mark.records("11_internimage")
def test_internimage(record, recipe_weights, through_files, within):
    config = record["config"]
    options = {"norm_position": "after"} if config.get("post_norm") else {}
    options |= {name: config[name] for name in ("offset_scale", "remove_center") if name in config}
    if "act_layer" in config:
        options["activation"] = config["act_layer"].lower()
    if config.get("level2_post_norm"):
        options["norms_after"] = config["level2_post_norm_block_ids"]
    conversion, path = through_files(recipe_weights(record), **options)
    assert conversion.layout == "internimage"
    check_levels(record, run(read_part_file(path)[0], record["inputs"]["img"]), "s", 1, within)


def run(network, images):
    with torch.no_grad():
        return network(images)


def written(record, name):
    return record["fp32_vs_fp64"][f"outputs.{name}"]["max_abs"]


def check_levels(record, features, letter, first, within):
    levels = {key: re.fullmatch(rf"{letter}(\d)(?:_every(\d+)ch)?", key) for key in record["outputs"]}
    found = {key: match for key, match in levels.items() if match}
    assert len(found) == len(features)
    for key, match in found.items():
        feature = features[int(match[1]) - first][:, :: int(match[2] or 1)]
        within(feature, record["outputs"][key], written(record, f"{letter}{match[1]}"))


def new_heads(weights):
    encoder = "resnet50" if "layer1.0.conv3.weight" in weights else "resnet18"
    network = create_model("upernet", encoder, classes=2, decoder_channels=4)
    return {key: x for key, x in seg_aliasing.to_published(network).items() if key.startswith("decode_head")}


def windows(record):
    """The fixed kernels among the published weights, which records do not hold."""
    made = {}
    for key in record["keys"]:
        if "hamming" in key:
            shape, *_ = record["weight_check"][key]
            window = np.hamming(shape[-1]) if len(shape) == 4 else np.ones(1)
            made[key] = torch.from_numpy(np.outer(window, window)).float().reshape(shape)
    return made
