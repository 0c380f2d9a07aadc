# SPDX-License-Identifier: Apache-2.0
"""Triton kernels of deformable aggregation (DCNv3, arXiv:2211.05778, equation 2) and of its gradients.

A program has PIXELS consecutive output pixels of one group's map; addresses count from the group's maps. The four
pixels around a point are its corners, numbered in row-major order.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .._triton_kernels import inside, tuned

_KEY = ("channels", "TAPS")


@triton.jit
def _point(offsets, tap, pixel, geometry, SIDE: tl.constexpr, TAPS: tl.constexpr):
    """Where a tap of output pixels samples, (x, y) in pixels, 0 where that is far from the map, and whether it is near.

    ``start`` is the middle of the first window.
    """
    height, width, out_height, out_width, stride, start, middle, dilation, scale = geometry
    out_plane = out_height * out_width
    number = tap  # among all taps, of which the central one may be left out
    if TAPS < SIDE * SIDE:
        number += tap // (TAPS // 2)
    across = tl.load(offsets + 2 * tap * out_plane + pixel, pixel < out_plane, other=0).to(tl.float32)
    along = tl.load(offsets + (2 * tap + 1) * out_plane + pixel, pixel < out_plane, other=0).to(tl.float32)
    x = start + pixel % out_width * stride + scale * (number // SIDE * dilation - middle + across)
    y = start + pixel // out_width * stride + scale * (number % SIDE * dilation - middle + along)
    near = (x > -1) & (x < width) & (y > -1) & (y < height)
    return tl.where(near, x, 0), tl.where(near, y, 0), near


@triton.jit
def _corner(x, y, height, width, CORNER: tl.constexpr):
    """Where one of the pixels around points is in the map, its share, and whether the map has it."""
    right, down = x - tl.floor(x), y - tl.floor(y)
    share = (right if CORNER % 2 == 1 else 1 - right) * (down if CORNER // 2 == 1 else 1 - down)
    column, row = tl.floor(x).to(tl.int32) + CORNER % 2, tl.floor(y).to(tl.int32) + CORNER // 2
    return row * width + column, share, inside(row, column, height, width)


@tuned([(64, 16, 4), (32, 32, 4), (128, 8, 4), (32, 16, 2)], _KEY)
@triton.jit
def forward(
    x,
    offsets,
    weights,
    out,
    height,
    width,
    channels,
    out_height,
    out_width,
    stride,
    start,
    middle,
    dilation,
    scale,
    SIDE: tl.constexpr,
    TAPS: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Sums of weighted samples."""
    geometry = (height, width, out_height, out_width, stride, start, middle, dilation, scale)
    plane, out_plane = height * width, out_height * out_width
    group = tl.program_id(2).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[:, None]
    values = x + group * (channels * plane) + tl.minimum(channel, channels - 1) * plane
    moved, shares = offsets + group * (2 * TAPS * out_plane), weights + group * (TAPS * out_plane)
    sums = tl.zeros([CHANNELS, PIXELS], tl.float32)
    for tap in range(TAPS):
        x_at, y_at, near = _point(moved, tap, pixel, geometry, SIDE, TAPS)
        weight = tl.load(shares + tap * out_plane + pixel, pixel < out_plane, other=0).to(tl.float32)
        for corner in tl.static_range(4):
            place, share, there = _corner(x_at, y_at, height, width, corner)
            value = tl.load(values + place, near & there, other=0).to(tl.float32)
            sums = tl.fma(value, share * weight, sums)
    to = out + group * (channels * out_plane) + channel * out_plane + pixel
    tl.store(to, sums, (pixel < out_plane) & (channel < channels))


@tuned([(64, 16, 4), (32, 32, 4), (128, 8, 4), (32, 16, 2)], _KEY, reset_to_zero=["grad_x"])
@triton.jit
def feature_gradient(
    grad,
    offsets,
    weights,
    grad_x,
    height,
    width,
    channels,
    out_height,
    out_width,
    stride,
    start,
    middle,
    dilation,
    scale,
    SIDE: tl.constexpr,
    TAPS: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Add to float32 ``grad_x`` what passes through every sample, by atomics: any output may have sampled a pixel."""
    geometry = (height, width, out_height, out_width, stride, start, middle, dilation, scale)
    plane, out_plane = height * width, out_height * out_width
    group = tl.program_id(2).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[:, None]
    valid = (pixel < out_plane) & (channel < channels)
    grads = grad + group * (channels * out_plane) + channel * out_plane + pixel
    arriving = tl.load(grads, valid, other=0).to(tl.float32)
    to = grad_x + group * (channels * plane) + channel * plane
    moved, shares = offsets + group * (2 * TAPS * out_plane), weights + group * (TAPS * out_plane)
    for tap in range(TAPS):
        x_at, y_at, near = _point(moved, tap, pixel, geometry, SIDE, TAPS)
        weight = tl.load(shares + tap * out_plane + pixel, pixel < out_plane, other=0).to(tl.float32)
        for corner in tl.static_range(4):
            place, share, there = _corner(x_at, y_at, height, width, corner)
            tl.atomic_add(to + place, arriving * (share * weight), valid & near & there, sem="relaxed")


@tuned([(32, 16, 4), (64, 8, 4), (32, 8, 2), (64, 16, 8)], _KEY)
@triton.jit
def point_gradients(
    grad,
    x,
    offsets,
    weights,
    grad_offsets,
    grad_weights,
    height,
    width,
    channels,
    out_height,
    out_width,
    stride,
    start,
    middle,
    dilation,
    scale,
    SIDE: tl.constexpr,
    TAPS: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Gradients to offsets and weights, from the products of gradient and corners, summed over channels."""
    geometry = (height, width, out_height, out_width, stride, start, middle, dilation, scale)
    plane, out_plane = height * width, out_height * out_width
    group = tl.program_id(2).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    valid = pixel < out_plane
    moved, shares = offsets + group * (2 * TAPS * out_plane), weights + group * (TAPS * out_plane)
    for tap in range(TAPS):
        x_at, y_at, near = _point(moved, tap, pixel, geometry, SIDE, TAPS)
        sums = ()
        for _ in tl.static_range(4):
            sums += (tl.zeros([CHANNELS, PIXELS], tl.float32),)
        for first in range(0, channels, CHANNELS):
            channel = first + tl.arange(0, CHANNELS)[:, None]
            grads = grad + group * (channels * out_plane) + channel * out_plane + pixel
            arriving = tl.load(grads, valid & (channel < channels), other=0).to(tl.float32)
            values = x + group * (channels * plane) + tl.minimum(channel, channels - 1) * plane
            more = ()
            for corner in tl.static_range(4):
                place, share, there = _corner(x_at, y_at, height, width, corner)
                value = tl.load(values + place, near & there, other=0).to(tl.float32)
                more += (tl.fma(arriving, value, sums[corner]),)
            sums = more
        products = (tl.sum(sums[0], 0), tl.sum(sums[1], 0), tl.sum(sums[2], 0), tl.sum(sums[3], 0))
        if grad_weights is not None:
            total = tl.zeros([PIXELS], tl.float32)
            for corner in tl.static_range(4):
                place, share, there = _corner(x_at, y_at, height, width, corner)
                total = tl.fma(share, products[corner], total)
            tl.store(grad_weights + group * (TAPS * out_plane) + tap * out_plane + pixel, total, valid)
        if grad_offsets is not None:
            weight = scale * tl.load(shares + tap * out_plane + pixel, valid, other=0).to(tl.float32)
            right, down = x_at - tl.floor(x_at), y_at - tl.floor(y_at)
            across = (1 - down) * (products[1] - products[0]) + down * (products[3] - products[2])
            along = (1 - right) * (products[2] - products[0]) + right * (products[3] - products[1])
            to = grad_offsets + group * (2 * TAPS * out_plane) + 2 * tap * out_plane + pixel
            tl.store(to, weight * across, valid)
            tl.store(to + out_plane, weight * along, valid)
