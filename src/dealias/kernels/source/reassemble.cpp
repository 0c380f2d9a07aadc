// SPDX-License-Identifier: Apache-2.0
// Content-aware reassembly (CARAFE, arXiv:1905.02188, eq. 2-3) on a CPU, kernels normalised on the way.
//
// A strip of rows is one task. Its thread keeps the rows that a window reaches as float32 with a zero border, for all
// channels of a group, in a ring; what is left of a row is dense arithmetic on columns, with the output pixels of one
// input pixel in vectors of their own. Kernels of a row are normalised once: they never exist as a whole.
#include "phases.h"

namespace {

// Sums of kLanes pixels of some channels over all taps: totals[channel][phase].
template <int S>
inline void sum_taps(const Sizes& z, const float* const* rows, const float* kernels, Vector (*totals)[kPhases<S>]) {
  constexpr int N = kTogether<S>, P = kPhases<S>;
  Vector sums[N][P] = {};
  const long row = z.row();
  for (long ty = 0; ty < z.side; ++ty)
    for (long tx = 0; tx < z.side; ++tx, kernels += P * kLanes) {
      Vector weights[P];
      for (int p = 0; p < P; ++p) weights[p] = load(kernels + p * kLanes);
#pragma GCC unroll 8
      for (int c = 0; c < N; ++c) {
        const Vector value = load(rows[ty] + c * row + tx * z.dilation);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) sums[c][p] += weights[p] * value;
      }
    }
  for (int c = 0; c < N; ++c)
    for (int p = 0; p < P; ++p) totals[c][p] = sums[c][p];
}

// Writes up to kLanes pixels of S rows.
template <int S, typename T>
inline void write_pixels(const Vector* phases, long valid, long out_width, T* to) {
  for (int py = 0; py < S; ++py, to += out_width)
    for (long lane = 0; lane < valid; ++lane)
      for (int px = 0; px < S; ++px) to[lane * S + px] = narrow<T>(phases[py * S + px][lane]);
}

template <>
inline void write_pixels<1, float>(const Vector* phases, long valid, long, float* to) {
  if (valid == kLanes)
    store(to, phases[0]);
  else
    std::memcpy(to, phases, valid * sizeof(float));
}

template <>
inline void write_pixels<2, float>(const Vector* phases, long valid, long out_width, float* to) {
  IntVector first, second;
  for (long lane = 0; lane < kLanes; ++lane) {
    first[lane] = lane / 2 + (lane & 1) * kLanes;
    second[lane] = first[lane] + kLanes / 2;
  }
  for (int py = 0; py < 2; ++py, to += out_width) {
    const Vector pair[2] = {__builtin_shuffle(phases[2 * py], phases[2 * py + 1], first),
                            __builtin_shuffle(phases[2 * py], phases[2 * py + 1], second)};
    if (valid == kLanes) {
      store(to, pair[0]);
      store(to + kLanes, pair[1]);
    } else {
      std::memcpy(to, pair, 2 * valid * sizeof(float));
    }
  }
}

// 2 x - sum, of kLanes pixels of some channels; `x` is the row's first channel at the pixels.
template <int S>
inline void subtract_from_twice(const Sizes& z, const float* x, Vector (*totals)[kPhases<S>]) {
  for (int c = 0; c < kTogether<S>; ++c) totals[c][0] = 2.0f * load(x + c * z.row()) - totals[c][0];
}

template <int S, typename T>
void forward_strip(const Reassembly& call, const T* x, const T* weight, T* out, long first, long last) {
  constexpr int P = kPhases<S>;
  const Sizes& z = call.sizes;
  Ring ring(z);
  Scratch kernels(z.chunks() * kLanes * z.taps() * P), block_totals((kChannelBlock + kTogether<S>) * P * kLanes);
  for (long i = first - z.reach(); i < first + z.reach(); ++i) ring.read(x, call.x, i);
  for (long i = first; i < last; ++i) {
    ring.read(x, call.x, i + z.reach());
    split_phases<S>(weight + i * S * call.weight.row, call.weight, z.taps(), z.width, kernels.get());
    if (call.log_window) normalize<S>(kernels.get(), z.chunks(), z.taps(), call.log_window);
    for (long block = 0; block < z.group_channels(); block += kChannelBlock)
      for (long chunk = 0; chunk < z.chunks(); ++chunk) {
        const long end = std::min(block + kChannelBlock, z.group_channels());
        const long valid = std::min(kLanes, z.width - chunk * kLanes);
        T* to = out + i * S * call.out.row + chunk * kLanes * S * call.out.pixel;
        for (long c = block; c < end; c += kTogether<S>) {
          const float* rows[16];
          for (long ty = 0; ty < z.side; ++ty)
            rows[ty] = ring.row(i - z.reach() + ty * z.dilation) + c * z.row() + chunk * kLanes;
          Vector totals[kTogether<S>][P];
          sum_taps<S>(z, rows, kernels.get() + chunk * z.taps() * P * kLanes, totals);
          if (call.sharpen) subtract_from_twice<S>(z, rows[z.side / 2] + z.reach(), totals);
          for (long n = 0; n < std::min<long>(kTogether<S>, end - c); ++n)
            if (call.out.pixel == 1)
              write_pixels<S>(totals[n], valid, call.out.row, to + (c + n) * call.out.channel);
            else
              std::memcpy(block_totals.get() + (c + n - block) * P * kLanes, totals[n], sizeof totals[n]);
        }
        if (call.out.pixel != 1) merge_phases<S>(block_totals.get(), call.out, end - block, valid, to + block);
      }
  }
}

template <int S, typename T>
void forward(const Reassembly& call, const T* x, const T* weight, T* out, long threads) {
  for_strips(call.sizes, threads, [&](long map, long first, long last) {
    forward_strip<S>(call, x + call.x_start(map), weight + call.weight_start(map, S), out + call.out_start(map, S),
                     first, last);
  });
}

}  // namespace

// sizes: batch, channels, height, width, groups, side, dilation.
#define DEALIAS_REASSEMBLE(T, suffix)                                                                              \
  extern "C" void dealias_reassemble_##suffix(const long* sizes, long scale, long last, long sharpen, const T* x,  \
                                              const T* weight, const float* log_window, T* out, long threads) {    \
    const Sizes z{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]};                           \
    const Reassembly call(z, scale, last, log_window, sharpen);                                                    \
    (scale == 1 ? forward<1, T> : forward<2, T>)(call, x, weight, out, threads);                                   \
  }

DEALIAS_REASSEMBLE(float, float32)
DEALIAS_REASSEMBLE(BFloat16, bfloat16)
