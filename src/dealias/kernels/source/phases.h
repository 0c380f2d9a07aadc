// SPDX-License-Identifier: Apache-2.0
// Rows of maps at output size as the kernels of reassembly use them: columns in vectors, the S x S outputs of one input
// pixel (its phases) in vectors of their own; and the kernels of a row, normalised there.
#pragma once

#include "rows.h"

constexpr long kChannelBlock = 32;  // channels that pass over a row's kernels together: their rows stay in the cache

template <int S>
constexpr int kPhases = S * S;

template <int S>
constexpr int kTogether = kLanes == 16 ? (S == 1 ? 8 : 4) : (S == 1 ? 4 : 2);  // channels whose sums fit the registers

// What a call is about: a map, the kernels or logits of its windows, and the result at S times the size, all laid out
// alike. With `log_window`, kernels are softmax(logits + log_window); with `sharpen` (S = 1) the result is 2 x - sum.
struct Reassembly {
  Sizes sizes;
  Layout x, weight, out;
  const float* log_window;
  bool sharpen;

  Reassembly(const Sizes& z, long scale, bool last, const float* log_window, bool sharpen)
      : sizes(z),
        x(z.channels, z.height, z.width, last),
        weight(z.groups * z.taps(), z.height * scale, z.width * scale, last),
        out(z.channels, z.height * scale, z.width * scale, last),
        log_window(log_window),
        sharpen(sharpen) {}

  // Where a sample's group begins in a map of so many channels per group.
  long start(long map, const Layout& layout, long group_channels, long pixels) const {
    const long sample = map / sizes.groups, group = map % sizes.groups;
    return sample * sizes.groups * group_channels * pixels + group * group_channels * layout.channel;
  }
  long x_start(long map) const { return start(map, x, sizes.group_channels(), sizes.height * sizes.width); }
  long weight_start(long map, long scale) const {
    return start(map, weight, sizes.taps(), sizes.height * sizes.width * scale * scale);
  }
  long out_start(long map, long scale) const {
    return start(map, out, sizes.group_channels(), sizes.height * sizes.width * scale * scale);
  }
};

// `planes` channels of the S rows from `from` on, `width` input pixels, to [chunk][plane][phase][lane].
template <int S, typename T>
void split_phases(const T* from, const Layout& layout, long planes, long width, float* to) {
  for (long first = 0; first < width; first += kLanes, to += planes * kPhases<S> * kLanes) {
    const long valid = std::min(kLanes, width - first);
    if (valid < kLanes) std::memset(to, 0, planes * kPhases<S> * kLanes * sizeof(float));
    for (int phase = 0; layout.pixel != 1 && phase < kPhases<S>; ++phase)
      turn(from + phase / S * layout.row + (first * S + phase % S) * layout.pixel, S * layout.pixel, valid, planes,
           to + phase * kLanes, kPhases<S> * kLanes);
    for (long p = 0; layout.pixel == 1 && p < planes; ++p)
      for (int py = 0; py < S; ++py) {
        const T* row = from + p * layout.channel + py * layout.row + first * S;
        float* phases = to + (p * S + py) * S * kLanes;
        for (long lane = 0; lane < valid; ++lane)
          for (int px = 0; px < S; ++px) phases[px * kLanes + lane] = widen(row[lane * S + px]);
      }
  }
}

// The other way round, of `valid` input pixels of one chunk.
template <int S, typename T>
void merge_phases(const float* from, const Layout& layout, long planes, long valid, T* to) {
  for (int phase = 0; layout.pixel != 1 && phase < kPhases<S>; ++phase)
    turn(from + phase * kLanes, kPhases<S> * kLanes, planes, valid,
         to + phase / S * layout.row + phase % S * layout.pixel, S * layout.pixel);
  for (long p = 0; layout.pixel == 1 && p < planes; ++p)
    for (int py = 0; py < S; ++py, from += S * kLanes) {
      T* row = to + p * layout.channel + py * layout.row;
      for (long lane = 0; lane < valid; ++lane)
        for (int px = 0; px < S; ++px) row[lane * S + px] = narrow<T>(from[px * kLanes + lane]);
    }
}

// Softmax over the taps of logits + log window, in place.
template <int S>
void normalize(float* kernels, long chunks, long taps, const float* log_window) {
  constexpr long step = kPhases<S> * kLanes;
  for (long chunk = 0; chunk < chunks; ++chunk, kernels += taps * step)
    for (long phase = 0; phase < kPhases<S>; ++phase) {
      float* logits = kernels + phase * kLanes;
      Vector highest = splat(-3e38f), sum = {};
      for (long t = 0; t < taps; ++t) highest = larger(load(logits + t * step) + log_window[t], highest);
      for (long t = 0; t < taps; ++t) {
        const Vector e = exp_of_negative(load(logits + t * step) + log_window[t] - highest);
        store(logits + t * step, e);
        sum += e;
      }
      for (long t = 0; t < taps; ++t) store(logits + t * step, load(logits + t * step) / sum);
    }
}

// The gradient to logits, in place of that to the kernels.
template <int S>
void normalize_backward(float* grad, const float* kernels, long chunks, long taps) {
  constexpr long step = kPhases<S> * kLanes;
  for (long chunk = 0; chunk < chunks; ++chunk, grad += taps * step, kernels += taps * step)
    for (long at = 0; at < step; at += kLanes) {
      Vector mean = {};
      for (long t = 0; t < taps; ++t) mean += load(grad + t * step + at) * load(kernels + t * step + at);
      for (long t = 0; t < taps; ++t)
        store(grad + t * step + at, (load(grad + t * step + at) - mean) * load(kernels + t * step + at));
    }
}
