# SPDX-License-Identifier: Apache-2.0
"""What the names of variants stand for, in a sentence each, for readers who know none of the papers."""

from __future__ import annotations

from collections.abc import Sequence

SEPARATOR = " + "
"""Between the parts of a variant's name."""

PARTS = {
    "nearest": "Upsampling: every fine pixel copies the nearest coarse one.",
    "bilinear": "Upsampling: every fine pixel is a fixed mean of the four coarse ones around it.",
    "deconv": "Upsampling: a learned transposed convolution, the same everywhere.",
    "pixel_shuffle": "Upsampling: a convolution computes four values per coarse pixel, which become four fine pixels.",
    "carafe": "Upsampling: every fine pixel is a mean of coarse ones, whose weights a small network predicts for it.",
    "indexnet": "Upsampling: coarse pixels are repeated and weighted by an index that is predicted from the fine map.",
    "a2u": "Upsampling: kernels for every pixel, from how the fine map responds to filters made for its image.",
    "fade": "Upsampling: kernels that both maps predict; a gate adds fine features where detail is wanted.",
    "sapa": "Upsampling: every fine pixel takes from the coarse pixels around it that resemble it.",
    "dysample": "Upsampling: coarse features are read at points that are moved to where they fit.",
    "dysample+": "DySample whose points may move farther where that is wanted.",
    "dysample-s+": "DySample+ with fewer parameters.",
    "freqfusion": "Upsampling: the coarse map is smoothed, the fine one sharpened, and samples are moved to the side "
    "of an edge where they belong, all by filters that are predicted for every pixel.",
    "dsconv-ff": "FreqFusion whose filters are predicted by cheaper, depthwise separable convolutions.",
    "dwt-ff": "FreqFusion whose filters are predicted from a wavelet transform.",
    "guided_attention": "Upsampling: every fine pixel is a mean of the coarse ones around it; those weigh more that "
    "are near and look like it in the fine map.",
    "blur": "Before downsampling: a small fixed blur.",
    "adaptive_blur": "Before downsampling: a blur that is predicted for every pixel.",
    "flc": "Before downsampling: every frequency that would fold is cut off.",
    "daf": "Before downsampling: the frequencies that the layer cannot keep are cut off, its channels counted in.",
    "ars": "Before downsampling: the map is resampled so that its detailed places take more pixels; afterwards that is "
    "undone.",
    "loss": "In training, the resampling is drawn to where the labels change.",
    "freqmix": "Low and high frequencies of a feature map are weighted apart.",
}
"""By name of a fusion, prefilter, mixer or modulation, or of its loss."""


def explain(variants: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The parts of the variants' names that are known, each with its sentence, in the order in which they appear.

    >>> [name for name, _ in explain(["bilinear", "bilinear + daf", "my own"])]
    ['bilinear', 'daf']
    """
    parts = dict.fromkeys(part for variant in variants for part in variant.split(SEPARATOR))
    return tuple((part, PARTS[part]) for part in parts if part in PARTS)
