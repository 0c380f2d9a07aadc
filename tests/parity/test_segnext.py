# SPDX-License-Identifier: Apache-2.0
"""SegNeXt and SegNeXt + FreqFusion against recorded numbers of the published networks.

Records of a head alone are completed to a checkpoint by the backbone of a new network, the record of a backbone is what
stands in a checkpoint of ImageNet training.
"""

import functools

import numpy as np
import pytest
import torch

from dealias import compat
from dealias.backbones import MSCANS, create_mscan
from dealias.compat import segnext
from dealias.models import create_model

UNTOLD = ("semi_conv", "comp_feat_upsample")
"""Published options of the fusion that a checkpoint does not tell."""


@pytest.mark.records("07_mscan")
def test_backbone(record, recipe_weights, within, tmp_path):
    weights = recipe_weights(record) | {"head.weight": torch.zeros(1000, 256)}
    torch.save(segnext.encoder_weights({"state_dict": weights}), tmp_path / "mscan.pth")
    sizes = {"channels": "embed_dims", "depths": "depths", "mlp_ratios": "mlp_ratios"}
    options = {own: record["config"][published] for own, published in sizes.items()}
    encoder = create_mscan("mscan_t", str(tmp_path / "mscan.pth"), options=options).eval()
    assert sum(p.numel() for p in encoder.parameters()) == record["n_params"]
    with torch.no_grad():
        check_levels(encoder(record["inputs"]["img"]), record, record["outputs"], within)


@pytest.mark.records("07_lightham")
def test_head(record, recipe_weights, within):
    config, weights = record["config"], recipe_weights(record) | windows(record)
    checkpoint = {f"decode_head.{key}": value for key, value in weights.items()}
    network = load(checkpoint | new_backbone(tuple(config["in_channels"])), record, config)
    expect_keys(network, [f"decode_head.{key}" for key in record["keys"]], "decode_head.")
    with torch.no_grad():
        logits = network.decoder(list(record["inputs"].values()))
    within(logits, record["outputs"]["logits"], record["fp32_vs_fp64"]["outputs.logits"]["max_abs"])


@pytest.mark.records("07_segnext")
def test_whole_network(record, recipe_weights, within):
    network = load(recipe_weights(record) | windows(record), record, record["config"]["decode_head"])
    parts = {"total": network, "backbone": network.encoder, "decode_head": network.decoder}
    assert {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()} == record["n_params"]
    expect_keys(network, record["keys"], "")
    for case in record["cases"]:
        images, outputs = case["img"], case["outputs"]
        suffix = f".{images.shape[2]}x{images.shape[3]}"
        start_from(network, case["nmf_bases_raw"])
        with torch.no_grad():
            features = network.encoder(images)
            decoded, logits = network.decoder(features), network(images)
        check_levels(features, record, outputs, within, suffix)
        within(decoded, outputs["decode_logits"], written(record, "decode_logits" + suffix))
        within(logits[:, :, ::4, ::4], outputs["full_logits_every4px"], written(record, "full" + suffix))
        assert torch.equal(logits.argmax(1).to(torch.uint8), outputs["pred"])


def load(weights, record, config):
    """The network of a record; what a checkpoint does not tell is taken from the record's configuration."""
    ham = config["ham_kwargs"]
    decomposition = {"rank": ham["MD_R"], "groups": ham["MD_S"], "eval_steps": ham["EVAL_STEPS"]}
    return compat.load_published(
        weights,
        layout="segnext",
        fusion_options={name: config[name] for name in UNTOLD if name in config},
        decomposition_options=decomposition | {"seed": record["bases_seed"]},
    )


def start_from(network, raw):
    """Let the factorisation start from recorded bases: [images * groups, channels, rank]."""
    layer = network.decoder.hamburger.decomposition
    bases = raw.unflatten(0, (-1, layer.bases.shape[1]))
    torch.testing.assert_close(layer.bases.shape[1:], bases.shape[1:])
    layer.bases = bases


def windows(record):
    """The fixed kernels among the published weights, which records do not hold."""
    made = {}
    for key in record["keys"]:
        if "hamming" in key:
            shape, total, _ = record["weight_check"][key]
            window = np.hamming(shape[-1]) if len(shape) == 4 else np.ones(1)
            made[key] = torch.from_numpy(np.outer(window, window)).float().reshape(shape)
            assert made[key].sum().item() == pytest.approx(total, rel=1e-6)
    return made


@functools.cache
def new_backbone(channels):
    name = next(name for name, sizes in MSCANS.items() if sizes["channels"][1:] == channels)
    weights = segnext.to_published(create_model("segnext", name))
    return {key: value for key, value in weights.items() if key.startswith("backbone.")}


def expect_keys(network, recorded, prefix):
    """All keys but those of convolutions that the published head makes and never uses."""
    published = segnext.to_published(network)
    used = [key for key in recorded if ".high2low_convs." not in key]
    assert sorted(key for key in published if key.startswith(prefix)) == sorted(used)


def written(record, name):
    return record["fp32_vs_fp64"][f"outputs.{name}"]["max_abs"]


def check_levels(features, record, outputs, within, suffix=""):
    for n, feature in enumerate(features, 1):
        within(feature, outputs[f"s{n}"], written(record, f"s{n}{suffix}"))
