# SPDX-License-Identifier: Apache-2.0
"""Which of the published layouts the keys of a checkpoint have."""

from __future__ import annotations

from collections.abc import Collection

_SIGNS: dict[str, tuple[tuple[str, ...], ...]] = {
    "mask2former": (("sem_seg_head.pixel_decoder.transformer.", "sem_seg_head.predictor."),),
    "mmdet": (("backbone.", "neck.", "rpn_head.", "roi_head."),),
    "segnext": (
        ("backbone.patch_embed1.", "decode_head.hamburger."),
        ("backbone.patch_embed1.", "backbone.block1.0.attn.spatial_gating_unit."),
        ("patch_embed1.", "block1.0.attn.spatial_gating_unit."),
    ),
    "internimage": (("backbone.levels.0.blocks.0.dcn.",), ("levels.0.blocks.0.dcn.",)),
    "seg-aliasing": (("backbone.stem.", "backbone.layer1.", "decode_head.psp_modules."),),
    "module": (
        ("hr_channel_compressor.", "content_encoder."),
        ("channel_compressor.", "content_encoder."),
        ("init_pos", "offset."),
        ("freq_weight_conv.", "channel_att_low."),
        ("conv.weight", "bn.weight"),
    ),
}
"""Beginnings of keys that all must be there; of several such lists one is enough. The first layout that fits counts."""


def recognise(keys: Collection[str]) -> str:
    """The layout of a checkpoint, one of :data:`dealias.compat.published.LAYOUTS`.

    Args:
        keys: published names of its tensors.

    Raises:
        ValueError: it is none of the known ones.

    >>> recognise(["backbone.patch_embed1.proj.0.weight", "decode_head.hamburger.ham_in.conv.weight"])
    'segnext'
    """
    for layout, alternatives in _SIGNS.items():
        if any(all(any(key.startswith(sign) for key in keys) for sign in signs) for signs in alternatives):
            return layout
    found = sorted({".".join(key.split(".")[:2]) for key in keys})
    raise ValueError(
        f"no known layout: expected {', '.join(_SIGNS)}; found keys that begin with "
        f"{', '.join(found[:12])}{', ...' if len(found) > 12 else ''}"
    )
