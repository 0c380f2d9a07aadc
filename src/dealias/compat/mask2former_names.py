# SPDX-License-Identifier: Apache-2.0
"""The names of Mask2Former's parts in detectron2's checkpoints, its ResNet and its Swin, and of FreqFusions in it.

A published tensor that is split here, into queries, keys and values, has the name ``KEY[q]``, ``KEY[k]``, ``KEY[v]``.
"""

from .renaming import Rules
from .segnext_names import FUSION

_HEAD = "sem_seg_head."
_PIXELS = f"{_HEAD}pixel_decoder."
_QUERIES = f"{_HEAD}predictor."
_LAYER = r"^network\.transformer_module\.decoder\.layers\.(\d+)\."
_SWIN = r"^network\.encoder\.body\.swin\."
_BLOCK = rf"{_SWIN}encoder\.layers\.(\d)\.blocks\.(\d+)\."

_PIXEL_DECODER = {
    r"level_embed$": "transformer.level_embed",
    r"input_projections\.": "input_proj.",
    r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.": r"transformer.encoder.layers.\1.norm1.",
    r"encoder\.layers\.(\d+)\.final_layer_norm\.": r"transformer.encoder.layers.\1.norm2.",
    r"encoder\.layers\.(\d+)\.fc(\d)\.": r"transformer.encoder.layers.\1.linear\2.",
    r"encoder\.layers\.": "transformer.encoder.layers.",
    r"mask_projection\.": "mask_features.",
    r"(adapter|layer)_1\.0\.": r"\1_1.",
    r"(adapter|layer)_1\.1\.": r"\1_1.norm.",
}
_PREDICTOR = {
    r"decoder\.layernorm\.": "decoder_norm.",
    r"decoder\.mask_predictor\.mask_embedder\.(\d)\.0\.": r"mask_embed.layers.\1.",
    r"queries_embedder\.": "query_embed.",
    r"queries_features\.": "query_feat.",
    r"level_embed\.": "level_embed.",
    r"input_projections\.": "input_proj.",
}
_DECODER_LAYER = {
    r"self_attn\.([qkv])_proj\.(weight|bias)$": r"transformer_self_attention_layers.\1.self_attn.in_proj_\3[\2]",
    r"self_attn\.": r"transformer_self_attention_layers.\1.self_attn.",
    r"self_attn_layer_norm\.": r"transformer_self_attention_layers.\1.norm.",
    r"cross_attn\.": r"transformer_cross_attention_layers.\1.multihead_attn.",
    r"cross_attn_layer_norm\.": r"transformer_cross_attention_layers.\1.norm.",
    r"fc(\d)\.": r"transformer_ffn_layers.\1.linear\2.",
    r"final_layer_norm\.": r"transformer_ffn_layers.\1.norm.",
}
_SWIN_BLOCK = {
    r"layernorm_before\.": "norm1.",
    r"layernorm_after\.": "norm2.",
    r"attention\.relative_position_bias\.": "attn.",
    r"attention\.([qkv])_proj\.(weight|bias)$": r"attn.qkv.\4[\3]",
    r"attention\.o_proj\.": "attn.proj.",
    r"mlp\.": "mlp.",
}

STAGES = ("res2", "res3", "res4", "res5")
"""Published names of a ResNet's stages."""

_RESNET = {
    r"conv1\.": "stem.conv1.",
    r"bn1\.": "stem.conv1.norm.",
    **{
        rf"layer{i}\.(\d+)\.{own}": rf"{stage}.\1.{published}"
        for i, stage in enumerate(STAGES, 1)
        for own, published in {
            r"conv(\d)\.": r"conv\2.",
            r"bn(\d)\.": r"conv\2.norm.",
            r"downsample\.0\.": "shortcut.",
            r"downsample\.1\.": "shortcut.norm.",
        }.items()
    },
}

RULES: Rules = {
    **{
        rf"^network\.pixel_decoder\.encoder\.fusions\.(\d)\.{own}": rf"{_PIXELS}freqfusions.\1.{published}"
        for own, published in FUSION.items()
    },
    **{
        rf"^network\.pixel_decoder\.(fusion)\.{own}": f"{_PIXELS}freqfusions.2.{published}"
        for own, published in FUSION.items()
    },
    **{rf"^network\.pixel_decoder\.{own}": f"{_PIXELS}{published}" for own, published in _PIXEL_DECODER.items()},
    **{rf"{_LAYER}{own}": f"{_QUERIES}{published}" for own, published in _DECODER_LAYER.items()},
    **{rf"^network\.transformer_module\.{own}": f"{_QUERIES}{published}" for own, published in _PREDICTOR.items()},
    r"^network\.class_predictor\.": f"{_QUERIES}class_embed.",
    r"^network\.criterion\.": "criterion.",
    **{rf"{_BLOCK}{own}": rf"backbone.layers.\1.blocks.\2.{published}" for own, published in _SWIN_BLOCK.items()},
    rf"{_SWIN}embeddings\.patch_embeddings\.projection\.": "backbone.patch_embed.proj.",
    rf"{_SWIN}embeddings\.norm\.": "backbone.patch_embed.norm.",
    rf"{_SWIN}encoder\.layers\.": "backbone.layers.",
    **{rf"^network\.encoder\.body\.hidden_states_norms\.stage{n + 1}\.": f"backbone.norm{n}." for n in range(4)},
    **{rf"^network\.encoder\.body\.{own}": f"backbone.{published}" for own, published in _RESNET.items()},
}
"""From names of a Mask2Former of this library to those published."""

IDLE = ("network.encoder.body.swin.layernorm.", "network.criterion.")
"""Own keys that published files need not have: transformers' last norm, which nothing reads, and that of the loss."""
