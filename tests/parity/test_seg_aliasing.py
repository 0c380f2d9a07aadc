# SPDX-License-Identifier: Apache-2.0
"""Networks of "When Semantic Segmentation Meets Frequency Aliasing" against recorded numbers of the published ones.

Records of a backbone alone are completed to a checkpoint by the heads of a new network.
"""

import re

import pytest
import torch

from dealias import compat
from dealias.compat import seg_aliasing
from dealias.models import create_model
from dealias.train import predict_logits

PREFILTERS = {"none": "none", "blur": "blur", "adablur": "adaptive_blur", "flc": "daf"}


@pytest.mark.records("05_nyresnet")
def test_network(record, recipe_weights, within):
    check = check_whole_network if "decode_head" in record["config"] else check_backbone
    check(record, recipe_weights(record), within)


def check_backbone(record, weights, within):
    weights = {f"backbone.{key}": value for key, value in weights.items()}
    wide = "backbone.layer1.0.conv3.weight" in weights
    other = create_model("upernet", "resnet50" if wide else "resnet18", classes=2, decoder_channels=4)
    heads = {key: value for key, value in seg_aliasing.to_published(other).items() if key.startswith("decode_head")}
    network = load(weights | heads, record, record["config"])
    assert sum(p.numel() for p in network.encoder.parameters()) == record["n_params"]
    expect_keys(network, ["backbone." + key for key in record["keys"]], "backbone.")
    with torch.no_grad():
        features = network.encoder(record["inputs"]["img"])
    check_levels(features, record["outputs"], written_differences(record), within)


def check_whole_network(record, weights, within):
    network = load(weights, record, record["config"]["backbone"])
    parts = {"backbone": network.encoder, "decode_head": network.decoder, "auxiliary_head": network.auxiliary}
    for name, part in parts.items():
        assert sum(p.numel() for p in part.parameters()) == record["n_params"][name]
    expect_keys(network, record["keys"])
    for case in record["cases"]:
        images, outputs = case["img"], case["outputs"]
        written = written_differences(record, f".{images.shape[2]}x{images.shape[3]}")
        with torch.no_grad():
            features = network.encoder(images)
            decoded, auxiliary = network.decoder(features), network.auxiliary(features)
            assert torch.equal(network(images).argmax(1).to(torch.uint8), outputs["pred"])
        check_levels(features, outputs, written, within)
        within(decoded, outputs["decode_logits"], written["decode_logits"])
        within(auxiliary, outputs["aux_logits"], written["aux_logits"])
        check_sliding(network, images, outputs, written, within)


def check_sliding(network, images, outputs, written, within):
    for key in outputs:
        if found := re.fullmatch(r"(slide_crop(\d+)_stride(\d+)_logits)_every(\d+)px", key):
            name, (window, stride, every) = found[1], map(int, found.groups()[1:])
            with torch.no_grad():
                logits = predict_logits(network, images, window=window, stride=stride)
            within(logits[:, :, ::every, ::every], outputs[key], written[name])
            assert torch.equal(logits.argmax(1).to(torch.uint8), outputs[name.replace("logits", "pred")])


def load(weights, record, backbone):
    """The network of a record; what a checkpoint does not tell is taken from the record's configuration."""
    prefilter, options = PREFILTERS[backbone["blur_type"]], {}
    if prefilter == "daf":
        options = {"cutoff": backbone["freq_thres"]}
    if prefilter == "blur":
        options = {"taps": next(shape[-1] for key, (shape, *_) in record["weight_check"].items() if "filt" in key)}
    return compat.load_published(weights, layout="seg-aliasing", prefilter=prefilter, prefilter_options=options)


def expect_keys(network, recorded, prefix=""):
    published = seg_aliasing.to_published(network)
    assert sorted(key for key in published if key.startswith(prefix)) == sorted(recorded)


def written_differences(record, suffix=""):
    return {
        key.removeprefix("outputs.").removesuffix(suffix): value["max_abs"]
        for key, value in record["fp32_vs_fp64"].items()
        if key.endswith(suffix)
    }


def check_levels(features, outputs, written, within):
    levels = [(key, found) for key in outputs if (found := re.fullmatch(r"c(\d)_every(\d+)ch", key))]
    assert len(levels) == len(features)
    for key, found in levels:
        within(features[int(found[1]) - 2][:, :: int(found[2])], outputs[key], written[f"c{found[1]}"])
