# SPDX-License-Identifier: Apache-2.0
"""The published names of InternImage's parts."""

from __future__ import annotations

from torch import nn

from . import upernet
from .renaming import Rules

_BLOCK = {
    r"before(\d)\.": r"norm\3.0.",
    r"scale(\d)\.gamma": r"gamma\3",
    r"dcn\.guide\.0\.": "dcn.dw_conv.0.",
    r"dcn\.to_offsets\.": "dcn.offset.",
    r"dcn\.to_weights\.": "dcn.mask.",
    r"dcn\.to_shares\.": "dcn.center_feature_scale_proj_",
    r"dcn\.enter\.": "dcn.input_proj.",
    r"dcn\.leave\.": "dcn.output_proj.",
}


def rules_of(encoder: nn.Module) -> Rules:
    """From names of a network with this InternImage to those published, which depend on its norms."""
    layer_norm = not isinstance(encoder.get_submodule("levels.0.embed.1"), nn.BatchNorm2d)
    place = int(layer_norm)  # in the published lists of layers a change of layout comes before a layer norm
    both = isinstance(encoder.get_submodule("levels.0.blocks.0.before1"), nn.LayerNorm)
    block = _BLOCK | {
        r"after(\d)\.": r"res_post_norm\3.0." if both else r"norm\3.0.",
        r"dcn\.guide\.1\.": f"dcn.dw_conv.1.{place}.",
        "": "",
    }
    norms = encoder.get_submodule("levels.2.norms").named_children()
    numbered = enumerate(key for key, norm in norms if isinstance(norm, nn.LayerNorm))
    level = {rf"blocks\.(\d+)\.{own}": rf"blocks.\2.{published}" for own, published in block.items()}
    level |= {rf"norms\.{key}\.": f"post_norms.{n}.0." for n, key in numbered} | {r"norm\.": "norm.0."}
    reductions = {r"embed\.0\.": "downsample.conv.", r"embed\.1\.": f"downsample.norm.{place}."}
    return {
        r"^encoder\.levels\.0\.embed\.0\.": "backbone.patch_embed.conv1.",
        r"^encoder\.levels\.0\.embed\.1\.": f"backbone.patch_embed.norm1.{place}.",
        r"^encoder\.levels\.0\.embed\.3\.": "backbone.patch_embed.conv2.",
        r"^encoder\.levels\.0\.embed\.4\.": f"backbone.patch_embed.norm2.{place}.",
        **{
            rf"^encoder\.levels\.{n}\.{own}": f"backbone.levels.{n - 1}.{published}"
            for n in (1, 2, 3)
            for own, published in reductions.items()
        },
        **{rf"^encoder\.levels\.(\d)\.{own}": rf"backbone.levels.\1.{published}" for own, published in level.items()},
        **upernet.RULES,
    }
