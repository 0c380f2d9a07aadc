# SPDX-License-Identifier: Apache-2.0
"""Triton kernels of local similarity (FreqFusion, arXiv:2408.12879) and of its gradient.

The neighbour of a number is at an offset before the centre in row-major order; the one at the opposite offset has its
number counted from the last. A program has PIXELS consecutive pixels of one sample; addresses count from its map.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .._triton_kernels import inside, tuned

_KEY = ("channels", "SIDE")


@tuned([(32, 4, 4), (64, 4, 4), (32, 8, 8), (128, 2, 4)], _KEY)
@triton.jit
def forward(
    x,
    norm,
    out,
    height,
    width,
    channels,
    SIDE: tl.constexpr,
    DILATION: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """One product per pair, written to both its pixels; 0 where a pixel has no neighbour, on either side."""
    HALF: tl.constexpr = SIDE * SIDE // 2
    plane = height * width
    sample = tl.program_id(2).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    row, column, valid = pixel // width, pixel % width, pixel < plane
    sums = ()
    for _ in tl.static_range(HALF):
        sums += (tl.zeros([CHANNELS, PIXELS], tl.float32),)
    for start in range(0, channels, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)[:, None]
        values = x + sample * (channels * plane) + channel * plane + pixel
        here = tl.load(values, valid & (channel < channels), other=0).to(tl.float32)
        more = ()
        for number in tl.static_range(HALF):
            down, right = (number // SIDE - SIDE // 2) * DILATION, (number % SIDE - SIDE // 2) * DILATION
            there = valid & inside(row + down, column + right, height, width) & (channel < channels)
            value = tl.load(values + down * width + right, there, other=0).to(tl.float32)
            more += (tl.fma(here, value, sums[number]),)
        sums = more
    for number in tl.static_range(HALF):
        down, right = (number // SIDE - SIDE // 2) * DILATION, (number % SIDE - SIDE // 2) * DILATION
        there = valid & inside(row + down, column + right, height, width)
        similarity = tl.sum(sums[number], 0)
        if norm is not None:
            norms = norm + sample * plane + pixel
            similarity /= tl.load(norms, valid, other=1) * tl.load(norms + down * width + right, there, other=1)
        to = out + sample * (2 * HALF * plane) + number * plane + pixel
        tl.store(to, similarity, valid)
        back = out + sample * (2 * HALF * plane) + (2 * HALF - 1 - number) * plane + pixel
        tl.store(back + down * width + right, similarity, there)
        alone = inside(row - down, column - right, height, width) == 0
        tl.store(back, tl.zeros([PIXELS], tl.float32), valid & alone)


@tuned([(128, 16, 4), (64, 16, 2), (128, 8, 4), (128, 32, 4)], _KEY)
@triton.jit
def gradient(
    grad,
    x,
    norm,
    similarity,
    grad_x,
    height,
    width,
    channels,
    smallest,
    SIDE: tl.constexpr,
    DILATION: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Every pixel gathers from its neighbours.

    With unit vectors v = x / |x| a pair (p, q) passes (g_pq + g_qp) v_q on to v_p. What of it is at right angles to
    v_p, divided by |x_p|, is the gradient of x_p; the part along v_p is known from the similarities.
    """
    LAST: tl.constexpr = SIDE * SIDE - 2
    plane = height * width
    sample = tl.program_id(2).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[:, None]
    row, column, valid = pixel // width, pixel % width, pixel < plane
    values = x + sample * (channels * plane) + tl.minimum(channel, channels - 1) * plane + pixel
    grads = grad + sample * ((LAST + 1) * plane) + pixel
    total = tl.zeros([CHANNELS, PIXELS], tl.float32)
    radial = tl.zeros([PIXELS], tl.float32)
    for tap in tl.static_range(SIDE * SIDE):
        if tap != SIDE * SIDE // 2:
            number = tap - (1 if tap > SIDE * SIDE // 2 else 0)
            down, right = (tap // SIDE - SIDE // 2) * DILATION, (tap % SIDE - SIDE // 2) * DILATION
            there = valid & inside(row + down, column + right, height, width)
            pair = tl.load(grads + number * plane, there, other=0).to(tl.float32)
            pair += tl.load(grads + (LAST - number) * plane + down * width + right, there, other=0).to(tl.float32)
            if norm is not None:
                place = sample * ((LAST + 1) * plane) + number * plane + pixel
                radial = tl.fma(pair, tl.load(similarity + place, there, other=0), radial)
                pair /= tl.load(norm + sample * plane + pixel + down * width + right, there, other=1)
            total = tl.fma(tl.load(values + down * width + right, there, other=0).to(tl.float32), pair, total)
    if norm is not None:
        length = tl.load(norm + sample * plane + pixel, valid, other=1)
        radial = tl.where(length > smallest, radial / length, 0)
        total = (total - radial * tl.load(values, valid, other=0).to(tl.float32)) / length
    to = grad_x + sample * (channels * plane) + channel * plane + pixel
    tl.store(to, total, valid & (channel < channels))
