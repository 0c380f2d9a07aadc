# SPDX-License-Identifier: Apache-2.0
"""Triton kernels of reassembly (CARAFE, arXiv:1905.02188, eq. 2-3) and of its gradients, kernels normalised on the way.

A program has PIXELS consecutive input pixels of one group's map. A block at output size is [SCALE, SCALE, CHANNELS,
PIXELS]: its first axes are an output's place within its input pixel, (y, x). Neighbouring threads have neighbouring
pixels, and a thread all places of its own: what it reads of an input map serves all its outputs.

With ``log_window`` [SIDE * SIDE] weights are logits; kernels are the softmax over taps of logits + log_window. With
SHARPEN, at SCALE 1, the result is 2 x minus the sum.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .._triton_kernels import inside, tuned

_KEY = ("channels", "SIDE", "SCALE")


@triton.jit
def _outputs(pixel, width, SCALE: tl.constexpr):
    """Where the outputs of input pixels are in a map, [SCALE, SCALE, 1, PIXELS]."""
    corner = (pixel // width * width * SCALE + pixel % width) * SCALE
    down, right = tl.arange(0, SCALE)[:, None, None, None], tl.arange(0, SCALE)[None, :, None, None]
    return corner + down * (width * SCALE) + right


@tuned([(128, 4, 4), (64, 4, 2), (128, 8, 4), (128, 16, 4)], _KEY)
@triton.jit
def forward(
    x,
    weight,
    log_window,
    out,
    height,
    width,
    channels,
    SIDE: tl.constexpr,
    SCALE: tl.constexpr,
    DILATION: tl.constexpr,
    SHARPEN: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Weighted sums of windows. A program reads kernels once, and keeps them for all its channels."""
    plane, out_plane = height * width, height * width * SCALE * SCALE
    group = tl.program_id(2).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    outputs, valid = _outputs(pixel, width, SCALE), pixel < plane
    weights = weight + group * (SIDE * SIDE * out_plane) + outputs
    shares = ()
    for tap in tl.static_range(SIDE * SIDE):
        shares += (tl.load(weights + tap * out_plane, valid, other=0).to(tl.float32),)
    if log_window is not None:
        highest = tl.full([SCALE, SCALE, 1, PIXELS], float("-inf"), tl.float32)
        for tap in tl.static_range(SIDE * SIDE):
            highest = tl.maximum(highest, shares[tap] + tl.load(log_window + tap))
        total, powers = tl.zeros([SCALE, SCALE, 1, PIXELS], tl.float32), ()
        for tap in tl.static_range(SIDE * SIDE):
            powers += (tl.exp(shares[tap] + tl.load(log_window + tap) - highest),)
            total += powers[tap]
        shares = powers
    for start in range(tl.program_id(1) * CHANNELS, channels, tl.num_programs(1) * CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        values = x + group * (channels * plane) + tl.minimum(channel, channels - 1)[:, None] * plane + pixel
        sums = tl.zeros([SCALE, SCALE, CHANNELS, PIXELS], tl.float32)
        for tap in tl.static_range(SIDE * SIDE):
            down = (tap // SIDE - SIDE // 2) * DILATION
            right = (tap % SIDE - SIDE // 2) * DILATION
            there = inside(pixel // width + down, pixel % width + right, height, width)
            value = tl.load(values + down * width + right, there, other=0).to(tl.float32)
            sums = tl.fma(value, shares[tap], sums)
        if log_window is not None:
            sums *= 1 / total
        if SHARPEN:
            sums = 2 * tl.load(values, valid, other=0).to(tl.float32) - sums
        to = out + group * (channels * out_plane) + channel[:, None] * out_plane + outputs
        tl.store(to, sums, valid & (channel < channels)[:, None])


@triton.jit
def log_sums(logits, log_window, out, plane, TAPS: tl.constexpr, PIXELS: tl.constexpr):
    """What normalises kernels, [groups, plane]: the logarithm of a softmax is logit + log_window - log_sum."""
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    group, valid = tl.program_id(1).to(tl.int64), pixel < plane
    highest = tl.full([PIXELS], float("-inf"), tl.float32)
    for tap in tl.static_range(TAPS):
        logit = tl.load(logits + group * (TAPS * plane) + tap * plane + pixel, valid, other=0).to(tl.float32)
        highest = tl.maximum(highest, logit + tl.load(log_window + tap))
    total = tl.zeros([PIXELS], tl.float32)
    for tap in tl.static_range(TAPS):
        logit = tl.load(logits + group * (TAPS * plane) + tap * plane + pixel, valid, other=0).to(tl.float32)
        total += tl.exp(logit + tl.load(log_window + tap) - highest)
    tl.store(out + group * plane + pixel, highest + tl.log(total), valid)


@tuned([(128, 4, 4), (64, 4, 2), (128, 8, 4), (128, 16, 4)], _KEY)
@triton.jit
def feature_gradient(
    grad,
    weight,
    log_window,
    log_sum,
    grad_x,
    height,
    width,
    channels,
    SIDE: tl.constexpr,
    SCALE: tl.constexpr,
    DILATION: tl.constexpr,
    SHARPEN: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Every input pixel gathers from the outputs whose windows it is in, at most SIDE * SIDE pixels' outputs."""
    plane, out_plane = height * width, height * width * SCALE * SCALE
    group = tl.program_id(2).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    row, column = pixel // width, pixel % width
    outputs = (row * width * SCALE + column) * SCALE + tl.arange(0, SCALE)[:, None, None]
    weights = weight + group * (SIDE * SIDE * out_plane) + outputs
    shares = ()
    for tap in tl.static_range(SIDE * SIDE):
        down = (tap // SIDE - SIDE // 2) * DILATION
        right = (tap % SIDE - SIDE // 2) * DILATION
        there = inside(row - down, column - right, height, width)
        for part in tl.static_range(SCALE):
            line = (part - down * SCALE) * (width * SCALE)
            share = tl.load(weights + tap * out_plane + line - right * SCALE, there, other=0).to(tl.float32)
            if log_window is not None:
                sums_there = log_sum + group * out_plane + outputs + line - right * SCALE
                share = tl.exp(share + tl.load(log_window + tap) - tl.load(sums_there, there, other=float("inf")))
            shares += (share,)
    for start in range(tl.program_id(1) * CHANNELS, channels, tl.num_programs(1) * CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        grads = grad + group * (channels * out_plane) + tl.minimum(channel, channels - 1)[:, None] * out_plane + outputs
        sums = tl.zeros([SCALE, CHANNELS, PIXELS], tl.float32)
        for tap in tl.static_range(SIDE * SIDE):
            down = (tap // SIDE - SIDE // 2) * DILATION
            right = (tap % SIDE - SIDE // 2) * DILATION
            there = inside(row - down, column - right, height, width)
            for part in tl.static_range(SCALE):
                line = (part - down * SCALE) * (width * SCALE)
                arriving = tl.load(grads + line - right * SCALE, there, other=0).to(tl.float32)
                sums = tl.fma(arriving, shares[tap * SCALE + part], sums)
        total = tl.sum(sums, 0)
        if SHARPEN:
            here = grad + group * (channels * plane) + tl.minimum(channel, channels - 1)[:, None] * plane + pixel
            total = 2 * tl.load(here, pixel < plane, other=0).to(tl.float32) - total
        to = grad_x + group * (channels * plane) + channel[:, None] * plane + pixel
        tl.store(to, total, (pixel < plane) & (channel < channels)[:, None])


@tuned([(32, 4, 4), (32, 8, 8), (32, 2, 2), (64, 4, 8)], _KEY)
@triton.jit
def weight_gradient(
    grad,
    x,
    weight,
    log_window,
    log_sum,
    grad_weight,
    height,
    width,
    channels,
    SIDE: tl.constexpr,
    SCALE: tl.constexpr,
    DILATION: tl.constexpr,
    SHARPEN: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Products of gradient and features, summed over channels; with ``log_window`` the gradient to the logits."""
    plane, out_plane = height * width, height * width * SCALE * SCALE
    group = tl.program_id(2).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    row, column = pixel // width, pixel % width
    outputs, valid = _outputs(pixel, width, SCALE), pixel < plane
    sums = ()
    for _ in tl.static_range(SIDE * SIDE):
        sums += (tl.zeros([SCALE, SCALE, CHANNELS, PIXELS], tl.float32),)
    for start in range(0, channels, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        grads = grad + group * (channels * out_plane) + channel[:, None] * out_plane + outputs
        arriving = tl.load(grads, valid & (channel < channels)[:, None], other=0).to(tl.float32)
        values = x + group * (channels * plane) + tl.minimum(channel, channels - 1)[:, None] * plane + pixel
        more = ()
        for tap in tl.static_range(SIDE * SIDE):
            down = (tap // SIDE - SIDE // 2) * DILATION
            right = (tap % SIDE - SIDE // 2) * DILATION
            there = inside(row + down, column + right, height, width)
            value = tl.load(values + down * width + right, there, other=0).to(tl.float32)
            more += (tl.fma(value, arriving, sums[tap]),)
        sums = more
    kernels = weight + group * (SIDE * SIDE * out_plane) + outputs
    if log_window is not None:
        away = tl.load(log_sum + group * out_plane + outputs, valid, other=float("inf"))
        mean = tl.zeros([SCALE, SCALE, 1, PIXELS], tl.float32)
    gradients = ()
    for tap in tl.static_range(SIDE * SIDE):
        gradients += (tl.sum(sums[tap], 2, keep_dims=True) * (-1 if SHARPEN else 1),)
        if log_window is not None:
            logit = tl.load(kernels + tap * out_plane, valid, other=0).to(tl.float32)
            mean = tl.fma(tl.exp(logit + tl.load(log_window + tap) - away), gradients[tap], mean)
    for tap in tl.static_range(SIDE * SIDE):
        gradient = gradients[tap]
        if log_window is not None:
            logit = tl.load(kernels + tap * out_plane, valid, other=0).to(tl.float32)
            gradient = tl.exp(logit + tl.load(log_window + tap) - away) * (gradient - mean)
        to = grad_weight + group * (SIDE * SIDE * out_plane) + tap * out_plane + outputs
        tl.store(to, gradient, valid)
