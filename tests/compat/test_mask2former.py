# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of detectron2's Mask2Former: every key has its place, what is split and reordered is where it belongs."""

import pytest
import torch

from dealias.compat import FreqFusion, load_published
from dealias.compat.conversion import convert
from dealias.models import Mask2FormerModel, read_model_file

pytest.importorskip("transformers")

PIXELS, QUERIES = "sem_seg_head.pixel_decoder", "sem_seg_head.predictor"
WIDTH, CLASSES, LAYERS, SWIN = 64, 5, 2, (16, (1, 1, 2, 1), (1, 2, 4, 8), 4)
SIZES = {"detector_options": {"min_size": 64, "max_size": 96}}


def affine(name, out, *inputs):
    return {f"{name}.weight": (out, *inputs), f"{name}.bias": (out,)}


def head_shapes(channels, width=WIDTH, classes=CLASSES, layers=LAYERS, heads=8, queries=6):
    shapes = {"criterion.empty_weight": (classes + 1,), f"{PIXELS}.transformer.level_embed": (3, width)}
    for i, c in enumerate(reversed(channels[1:])):
        shapes |= affine(f"{PIXELS}.input_proj.{i}.0", width, c, 1, 1) | affine(f"{PIXELS}.input_proj.{i}.1", width)
    for i in range(layers):
        layer = f"{PIXELS}.transformer.encoder.layers.{i}"
        rows = {
            "sampling_offsets": heads * 24,
            "attention_weights": heads * 12,
            "value_proj": width,
            "output_proj": width,
        }
        for name, number in rows.items():
            shapes |= affine(f"{layer}.self_attn.{name}", number, width)
        shapes |= affine(f"{layer}.linear1", 1024, width) | affine(f"{layer}.linear2", width, 1024)
        shapes |= affine(f"{layer}.norm1", width) | affine(f"{layer}.norm2", width)
    shapes |= affine(f"{PIXELS}.mask_features", width, width, 1, 1)
    for name, kernel in (("adapter_1", (channels[0], 1, 1)), ("layer_1", (width, 3, 3))):
        shapes |= {f"{PIXELS}.{name}.weight": (width, *kernel)} | affine(f"{PIXELS}.{name}.norm", width)
    for i in range(layers):
        for kind, attention in (("self", "self_attn"), ("cross", "multihead_attn")):
            name = f"{QUERIES}.transformer_{kind}_attention_layers.{i}"
            shapes |= {
                f"{name}.{attention}.in_proj_{part}": s
                for part, s in (("weight", (3 * width, width)), ("bias", (3 * width,)))
            }
            shapes |= affine(f"{name}.{attention}.out_proj", width, width) | affine(f"{name}.norm", width)
        name = f"{QUERIES}.transformer_ffn_layers.{i}"
        shapes |= (
            affine(f"{name}.linear1", 2048, width)
            | affine(f"{name}.linear2", width, 2048)
            | affine(f"{name}.norm", width)
        )
    shapes |= affine(f"{QUERIES}.decoder_norm", width) | affine(f"{QUERIES}.class_embed", classes + 1, width)
    shapes |= {f"{QUERIES}.{name}.weight": (queries, width) for name in ("query_feat", "query_embed")}
    shapes[f"{QUERIES}.level_embed.weight"] = (3, width)
    return shapes | {
        k: s for i in range(3) for k, s in affine(f"{QUERIES}.mask_embed.layers.{i}", width, width).items()
    }


def swin_shapes(width, depths, heads, window):
    shapes = affine("backbone.patch_embed.proj", width, 3, 4, 4) | affine("backbone.patch_embed.norm", width)
    for level, (depth, number) in enumerate(zip(depths, heads, strict=True)):
        c = width * 2**level
        shapes |= affine(f"backbone.norm{level}", c)
        for i in range(depth):
            block = f"backbone.layers.{level}.blocks.{i}"
            shapes |= {
                f"{block}.attn.relative_position_bias_table": ((2 * window - 1) ** 2, number),
                f"{block}.attn.relative_position_index": (window**2, window**2),
            }
            shapes |= affine(f"{block}.norm1", c) | affine(f"{block}.norm2", c)
            shapes |= affine(f"{block}.attn.qkv", 3 * c, c) | affine(f"{block}.attn.proj", c, c)
            shapes |= affine(f"{block}.mlp.fc1", 4 * c, c) | affine(f"{block}.mlp.fc2", c, 4 * c)
        if level < 3:
            shapes[f"backbone.layers.{level}.downsample.reduction.weight"] = (2 * c, 4 * c)
            shapes |= affine(f"backbone.layers.{level}.downsample.norm", 4 * c)
    return shapes


def resnet_shapes():
    """A ResNet-18 as detectron2 stores it, with frozen norms."""
    kernels, c = {"backbone.stem.conv1": (64, 3, 7, 7)}, 64
    for level, width in enumerate((64, 128, 256, 512)):
        for i in range(2):
            block = f"backbone.res{level + 2}.{i}"
            kernels |= {f"{block}.conv1": (width, c, 3, 3), f"{block}.conv2": (width, width, 3, 3)}
            if c != width:
                kernels[f"{block}.shortcut"] = (width, c, 1, 1)
            c = width
    norms = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.weight": shape for name, shape in kernels.items()} | {
        f"{name}.norm.{part}": shape[:1] for name, shape in kernels.items() for part in norms
    }


def checkpoint(backbone, channels, fused=True):
    torch.manual_seed(0)
    weights = {key: torch.rand(shape) * 0.1 for key, shape in (backbone | head_shapes(channels)).items()}
    if fused:
        options = {"hamming_window": False, "feature_resample": True, "feature_resample_norm": False}
        for i in range(3):
            fusion = FreqFusion(WIDTH, WIDTH, compressed_channels=WIDTH // 4, **options)
            weights |= {f"{PIXELS}.freqfusions.{i}.{key}": value for key, value in fusion.state_dict().items()}
    return weights


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kind", ["swin", "resnet"])
def test_every_key(kind, fused, tmp_path):
    backbone, channels = (
        (swin_shapes(*SWIN), (16, 32, 64, 128)) if kind == "swin" else (resnet_shapes(), (64, 128, 256, 512))
    )
    weights = checkpoint(backbone, channels, fused)
    torch.save({"model": weights, "trainer": {"iteration": 3}}, tmp_path / "published.pth")
    conversion = convert(tmp_path / "published.pth", options=SIZES)
    assert conversion.layout == "mask2former" and conversion.matching.problems() == []
    used = {name.partition("[")[0] for name in conversion.matching.used}
    fixed = ("relative_position_index", "hamming_lowpass", "hamming_highpass", "init_pos")
    assert set(weights) - used == set(conversion.plan.left_out) == {key for key in weights if key.endswith(fixed)}
    assert conversion.network.config["fusion"] == ("freqfusion" if fused else "bilinear")
    conversion.write(tmp_path / "own.safetensors")
    again, _ = read_model_file(tmp_path / "own.safetensors")
    image = torch.rand(3, 70, 91)
    with torch.no_grad():
        first, second = conversion.network([image])[0], again([image])[0]
    assert torch.equal(first["semantic"], second["semantic"]) and isinstance(again, Mask2FormerModel)


def test_parts_are_where_they_belong():
    weights = checkpoint(swin_shapes(*SWIN), (16, 32, 64, 128))
    own = load_published(weights, layout="mask2former", things=[3, 0], **SIZES).network
    assert torch.equal(own.encoder.body.hidden_states_norms.stage3.weight, weights["backbone.norm2.weight"])
    for i, fusion in enumerate([*own.pixel_decoder.encoder.fusions, own.pixel_decoder.fusion]):
        assert torch.equal(fusion.compress_hr.weight, weights[f"{PIXELS}.freqfusions.{i}.hr_channel_compressor.weight"])
    assert torch.equal(own.class_predictor.bias, weights[f"{QUERIES}.class_embed.bias"][[3, 0, 1, 2, 4, 5]])
    published = torch.nn.MultiheadAttention(WIDTH, 8)
    name = f"{QUERIES}.transformer_self_attention_layers.1.self_attn."
    published.load_state_dict({key.removeprefix(name): x for key, x in weights.items() if key.startswith(name)})
    x = torch.randn(6, 1, WIDTH)
    with torch.no_grad():
        layer = own.transformer_module.decoder.layers[1].self_attn
        found = layer(x, position_embeddings=torch.zeros_like(x))[0]
        torch.testing.assert_close(found, published(x, x, x)[0])


def test_what_is_refused_and_normalisation():
    weights = checkpoint(resnet_shapes(), (64, 128, 256, 512), fused=False)
    with pytest.raises(ValueError, match="things must be different categories from 0 to 4, got 6"):
        load_published(weights, layout="mask2former", things=6)
    with pytest.raises(ValueError, match="no FreqFusion to give the options"):
        load_published(weights, layout="mask2former", fusion_options={"semi_conv": False})
    weights |= {"pixel_mean": torch.full((3, 1, 1), 51.0), "pixel_std": torch.full((3, 1, 1), 255.0)}
    network = load_published(weights, layout="mask2former", **SIZES)
    assert network.config["image_mean"] == pytest.approx([0.2] * 3) and network.config["image_std"] == [1.0] * 3
