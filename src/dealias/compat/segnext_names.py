# SPDX-License-Identifier: Apache-2.0
"""The published names of SegNeXt's parts: MSCAN, the Hamburger head and FreqFusion."""

from .renaming import Rules

_BLOCK = {
    r"scale(\d)\.gamma": r"layer_scale_\2",
    r"attention\.enter\.": "attn.proj_1.",
    r"attention\.local\.": "attn.spatial_gating_unit.conv0.",
    r"attention\.strips\.(\d)\.0\.": r"attn.spatial_gating_unit.conv\2_1.",
    r"attention\.strips\.(\d)\.1\.": r"attn.spatial_gating_unit.conv\2_2.",
    r"attention\.mix\.": "attn.spatial_gating_unit.conv3.",
    r"attention\.leave\.": "attn.proj_2.",
    r"mlp\.0\.": "mlp.fc1.",
    r"mlp\.1\.": "mlp.dwconv.dwconv.",
    r"mlp\.3\.": "mlp.fc2.",
    "": "",
}
_LEVEL = {rf"blocks\.(\d+)\.{own}": rf"block{{n}}.\1.{published}" for own, published in _BLOCK.items()} | {
    r"embed\.0\.": "patch_embed{n}.proj.",
    r"embed\.1\.": "patch_embed{n}.norm.",
    r"norm\.": "norm{n}.",
}
FUSION: Rules = {
    r"compress_(hr|lr)\.": r"\2_channel_compressor.",
    r"lowpass_encoder\.": "content_encoder.",
    r"highpass_encoder\.": "content_encoder2.",
    r"detail_encoder\.": "content_encoder3.",
    r"wavelet\.(h[01]_(?:col|row))$": r"dwt.\2",
    r"(low|high)pass_window$": r"hamming_\2pass",
    r"sampler\.positions$": "dysampler.init_pos",
    r"sampler\.lr_offset\.": "dysampler.offset.",
    r"sampler\.lr_scope\.": "dysampler.direct_scale.",
    r"sampler\.hr_scope\.": "dysampler.hr_direct_scale.",
    r"sampler\.": "dysampler.",
}
"""Names within a FreqFusion; the patterns are to follow one group, that of the number of the fusion."""

RULES: Rules = {
    r"^encoder\.levels\.0\.embed\.": "backbone.patch_embed1.proj.",
    **{
        rf"^encoder\.levels\.{n - 1}\.{own}": f"backbone.{published.format(n=n)}"
        for n in (1, 2, 3, 4)
        for own, published in _LEVEL.items()
    },
    r"^decoder\.(squeeze|align)\.0\.": r"decode_head.\1.conv.",
    r"^decoder\.(squeeze|align)\.1\.": r"decode_head.\1.gn.",
    r"^decoder\.hamburger\.enter\.": "decode_head.hamburger.ham_in.conv.",
    r"^decoder\.hamburger\.leave\.0\.": "decode_head.hamburger.ham_out.conv.",
    r"^decoder\.hamburger\.leave\.1\.": "decode_head.hamburger.ham_out.gn.",
    r"^decoder\.classifier\.1\.": "decode_head.conv_seg.",
    r"^decoder\.path\.residuals\.": "decode_head.low2high_convs.",
    **{
        rf"^decoder\.path\.fusions\.(\d)\.{own}": rf"decode_head.freqfusions.\1.{published}"
        for own, published in FUSION.items()
    },
}
"""From names of a SegNeXt of this library to those published."""
