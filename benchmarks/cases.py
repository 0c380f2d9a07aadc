# SPDX-License-Identifier: Apache-2.0
"""The registry of cases: what is measured, at which size, against what. A new operator adds its case to ``CASES``."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

import delaunay
import spectra
import unfolded
import whole
from dealias import ops
from dealias.fusion import FreqFusion
from dealias.fusion.freqfusion import hamming_2d
from dealias.mixing import FreqMix
from dealias.ops.warp import Warp, mesh_inverse, saliency_map
from problem import OURS, Case, Problem, on_inputs, random, smooth, with_and_without_kernels

CUTOFF = 0.35
"""Cycles per sample, of the published filter and FreqMix."""

LARGEST_FILTERED_MAP = 2**24
"""Elements of a map that the filter is measured on: the complex form holds several maps of twice the size."""


def reassembly(device: torch.device, channels: int, size: tuple[int, int], kernel_size: int, scale: int) -> Problem:
    """Reassemble [1, channels, *size] to ``scale`` times the size."""
    x = random(device, 1, channels, *size).requires_grad_()
    logits = random(device, 1, kernel_size**2, *(side * scale for side in size))
    weight = ops.kernel_normalize(logits, kernel_size).requires_grad_()
    ours, peer = partial(ops.reassemble, scale=scale), partial(unfolded.reassemble, scale=scale)
    forms = with_and_without_kernels(on_inputs(ours, x, weight), device)
    if device.type == "cuda" and find_spec("mmcv") is not None:
        carafe = import_module("mmcv.ops").carafe
        forms["mmcv"] = on_inputs(lambda x, weight: carafe(x, weight, kernel_size, 1, scale), x, weight)
    return Problem((x, weight), {**forms, "unfold": on_inputs(peer, x, weight)})


def normalisation(device: torch.device, kernel_size: int, size: int) -> Problem:
    logits = random(device, 1, kernel_size**2, size, size).requires_grad_()
    window = hamming_2d(kernel_size).to(device)
    ours = partial(ops.kernel_normalize, kernel_size=kernel_size, window=window)
    peer = partial(unfolded.kernel_normalize, kernel_size=kernel_size, window=window)
    return Problem((logits,), {OURS: on_inputs(ours, logits), "three steps": on_inputs(peer, logits)})


def similarity(device: torch.device, channels: int, size: int) -> Problem:
    x = random(device, 1, channels, size, size).requires_grad_()
    ours, peer = ops.local_similarity, unfolded.local_similarity
    return Problem((x,), {**with_and_without_kernels(on_inputs(ours, x), device), "unfold": on_inputs(peer, x)})


def freqfusion(device: torch.device, channels: int, size: int, resample: bool = True) -> Problem:
    """The whole module in the paper's configuration; gradients to both maps and all parameters."""
    torch.manual_seed(0)
    module = FreqFusion(channels, channels, feature_resample=resample)
    for parameter in module.parameters():  # not the small initial values: every kernel and offset shall matter
        nn.init.normal_(parameter, std=0.05)
    module = module.to(device)
    hr = random(device, 1, channels, size, size).requires_grad_()
    # Smooth: the gradient to a point jumps where it passes from pixel to pixel, and forms round positions differently.
    lr = smooth(random(device, 1, channels, 6, 6), size // 2).requires_grad_()

    def peer() -> tuple[Tensor, ...]:
        with unfolded.instead_of_ours():
            return module(hr, lr)

    forms = with_and_without_kernels(lambda: module(hr, lr), device)
    return Problem((hr, lr, *module.parameters()), {**forms, "unfold": peer})


def deformation(device: torch.device, channels: int, size: int, groups: int) -> Problem:
    """DCNv3's operator against torchvision's deformable convolution, depthwise with weights of 1.

    That has its taps row by row and offsets (y, x).
    """
    x = random(device, 1, channels, size, size).requires_grad_()
    offsets = random(device, 1, groups, 9, 2, size, size).requires_grad_()
    weights = random(device, 1, groups, 9, size, size).requires_grad_()

    def peer() -> tuple[Tensor, ...]:
        by_row = [tensor.unflatten(2, (3, 3)).transpose(2, 3).flatten(2, 3) for tensor in (offsets, weights)]
        ones = x.new_ones(channels, 1, 3, 3)
        given = (by_row[0].flip(3).flatten(1, 3), ones)
        return (deform_conv2d(x, *given, padding=1, mask=by_row[1].flatten(1, 2)),)

    ours = on_inputs(ops.deformable_aggregation, x, offsets, weights)
    forms = with_and_without_kernels(ours, device)
    return Problem((x, offsets, weights), {**forms, "torchvision": peer})


def filtering(
    device: torch.device, channels: int, size: int, dtype: torch.dtype = torch.float32, released: bool = False
) -> Problem:
    """The de-aliasing filter on [1, channels, size, size]."""
    x = random(device, 1, channels, size, size).to(dtype).requires_grad_()
    ours, peer = (partial(form.low_pass, cutoff=CUTOFF, released=released) for form in (ops, spectra))
    return Problem((x,), {OURS: on_inputs(ours, x), "complex FFT": on_inputs(peer, x)})


def mixing(device: torch.device, channels: int, size: int, released: bool) -> Problem:
    """FreqMix on [1, channels, size, size]; gradients to the map and all parameters."""
    torch.manual_seed(0)
    module = FreqMix(channels, CUTOFF, released=released)
    for parameter in module.parameters():  # as for FreqFusion
        nn.init.normal_(parameter, std=0.05)
    module = module.to(device)
    x = random(device, 1, channels, size, size).requires_grad_()
    forms = {OURS: on_inputs(module, x), "complex FFT": on_inputs(partial(spectra.mix, module), x)}
    return Problem((x, *module.parameters()), forms)


def inversion(device: torch.device, batch: int, size: int) -> Problem:
    """The inverses of maps [batch, 2, size, size], smooth enough for any triangulation to agree within the gate."""
    uneven = F.avg_pool2d(torch.exp(1.5 * random(device, batch, 1, size + 2, size + 2)), 3, stride=1)
    map = saliency_map(uneven, sigma=12.0)
    ours = partial(mesh_inverse, source=(size, size))
    return Problem((map,), {OURS: on_inputs(ours, map), "scipy": on_inputs(delaunay.inverse, map)}, backward=False)


def warping(device: torch.device, channels: int, size: int) -> Problem:
    """The published map of a saliency, features warped by it and warped back by its inverse; all of it smooth, too."""
    saliency = torch.exp(smooth(random(device, 1, 1, 6, 6), size))
    x = smooth(random(device, 1, channels, 6, 6), size)

    def ours() -> tuple[Tensor, ...]:
        warp = Warp(saliency_map(saliency), (size, size))
        warped = warp.apply(x)
        return warped, warp.inverse().apply(warped)

    return Problem((saliency, x), {OURS: ours, "scipy": partial(delaunay.there_and_back, saliency, x)}, backward=False)


FILTERED = [
    (channels, size)
    for channels in (256, 512, 1024)
    for size in (16, 32, 64, 128, 256)
    if channels * size**2 <= LARGEST_FILTERED_MAP
]

CASES = (
    *(
        Case("reassemble", name, partial(reassembly, channels=channels, size=size, kernel_size=side, scale=scale))
        for name, channels, size, side, scale in (
            ("k5 x2, 64 ch to 128x128", 64, (64, 64), 5, 2),
            ("k5 x2, 256 ch to 200x304", 256, (100, 152), 5, 2),
            ("k3 x1, 256 ch at 128x128", 256, (128, 128), 3, 1),
        )
    ),
    Case("kernel_normalize", "k5 Hamming at 128x128", partial(normalisation, kernel_size=5, size=128)),
    Case("local_similarity", "k3 dilated 2, 64 ch at 128x128", partial(similarity, channels=64, size=128)),
    Case("freqfusion", "64 ch to 128x128", partial(freqfusion, channels=64, size=128)),
    Case("freqfusion", "256 ch to 128x128", partial(freqfusion, channels=256, size=128)),
    Case("freqfusion", "256 ch to 128x128, no resampling", partial(freqfusion, channels=256, size=128, resample=False)),
    Case("deformable_aggregation", "64 ch, 4 groups at 64x64", partial(deformation, channels=64, size=64, groups=4)),
    *(
        Case("filter", f"{c} ch at {n}x{n}, {name}", partial(filtering, channels=c, size=n, dtype=dtype))
        for c, n in FILTERED
        for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16}.items()
    ),
    Case("filter", "256 ch at 128x128, fp32, released", partial(filtering, channels=256, size=128, released=True)),
    *(
        Case("freqmix", f"{c} ch at {n}x{n}, {name}", partial(mixing, channels=c, size=n, released=name == "released"))
        for c, n in ((128, 64), (256, 32), (512, 16), (256, 128))
        for name in ("corrected", "released")
    ),
    Case("warp", "inverse, 8 images at 128x128", partial(inversion, batch=8, size=128)),
    Case("warp", "there and back, 64 ch at 128x128", partial(warping, channels=64, size=128)),
    Case("metrics", "hard pixels, 19 classes at 1024x2048", partial(whole.hard_pixels, size=(1024, 2048), classes=19)),
    Case("loader", "64 photographs of 512x1024", partial(whole.loading, count=64, size=(512, 1024))),
    Case("network", "UPerNet-R50 on 512x512", partial(whole.filtered_network, size=512)),
    Case("training", "UPerNet-R18, 8 at 128x128", partial(whole.training, batch=8, size=128)),
    Case("training", "the same, channels_last", partial(whole.training, batch=8, size=128, channels_last=True)),
)
