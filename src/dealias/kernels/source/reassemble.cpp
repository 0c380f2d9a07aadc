// SPDX-License-Identifier: Apache-2.0
// Content-aware reassembly (CARAFE, arXiv:1905.02188, eq. 2-3) and its gradients on a CPU, kernels normalised on the way.
//
// A strip of rows is one task. Its thread keeps the rows that a window reaches as float32 with a zero border, for all
// channels of a group, in a ring; what is left of a row is dense arithmetic on columns, with the output pixels of one
// input pixel (phases: S x S of them) in vectors of their own. Kernels of a row are normalised once into [columns / lanes]
// [taps][phases][lanes]: they never exist as a whole.
#include "rows.h"

namespace {

constexpr long kChannelBlock = 32;  // channels that pass over a row's kernels together: their rows stay in the cache

template <int S>
constexpr int kPhases = S * S;

// One row of input pixels of a map [.., height * S, width * S] with planes `plane` apart, to [chunk][plane][phase][lane].
template <int S, typename T>
void split_phases(const T* from, long planes, long plane, long width, float* to) {
  for (long first = 0; first < width; first += kLanes)
    for (long p = 0; p < planes; ++p)
      for (int py = 0; py < S; ++py, to += S * kLanes) {
        const T* row = from + p * plane + py * width * S + first * S;
        const long valid = std::min(kLanes, width - first);
        if (valid < kLanes) std::memset(to, 0, S * kLanes * sizeof(float));
        for (long lane = 0; lane < valid; ++lane)
          for (int px = 0; px < S; ++px) to[px * kLanes + lane] = widen(row[lane * S + px]);
      }
}

template <int S, typename T>
void merge_phases(const float* from, long planes, long plane, long width, T* to) {
  for (long first = 0; first < width; first += kLanes)
    for (long p = 0; p < planes; ++p)
      for (int py = 0; py < S; ++py, from += S * kLanes) {
        T* row = to + p * plane + py * width * S + first * S;
        const long valid = std::min(kLanes, width - first);
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

template <int S>
constexpr int kTogether = kLanes == 16 ? (S == 1 ? 8 : 4) : (S == 1 ? 4 : 2);  // channels whose sums fit the registers

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

template <int S, typename T>
void forward_strip(const Sizes& z, const T* x, const T* weight, const float* log_window, T* out, long first, long last) {
  Ring ring(z);
  Scratch kernels(z.chunks() * kLanes * z.taps() * kPhases<S>);
  const long out_width = z.width * S, plane = z.height * S * out_width;
  for (long i = first - z.reach(); i < first + z.reach(); ++i) ring.read(x, i);
  for (long i = first; i < last; ++i) {
    ring.read(x, i + z.reach());
    split_phases<S>(weight + i * S * out_width, z.taps(), plane, z.width, kernels.get());
    if (log_window) normalize<S>(kernels.get(), z.chunks(), z.taps(), log_window);
    for (long block = 0; block < z.group_channels(); block += kChannelBlock)
      for (long chunk = 0; chunk < z.chunks(); ++chunk)
        for (long c = block; c < std::min(block + kChannelBlock, z.group_channels()); c += kTogether<S>) {
          const float* rows[16];
          for (long ty = 0; ty < z.side; ++ty)
            rows[ty] = ring.row(i - z.reach() + ty * z.dilation) + c * z.row() + chunk * kLanes;
          Vector totals[kTogether<S>][kPhases<S>];
          sum_taps<S>(z, rows, kernels.get() + chunk * z.taps() * kPhases<S> * kLanes, totals);
          const long valid = std::min(kLanes, z.width - chunk * kLanes);
          T* to = out + c * plane + i * S * out_width + chunk * kLanes * S;
          for (long n = 0; n < std::min<long>(kTogether<S>, z.group_channels() - c); ++n)
            write_pixels<S>(totals[n], valid, out_width, to + n * plane);
        }
  }
}

// Adds to the gradient of the map what kLanes pixels of some channels pass on through every tap.
template <int S>
inline void spread(const Sizes& z, float* const* rows, const float* kernels, const float* grads, long grad_step) {
  constexpr int N = kTogether<S>, P = kPhases<S>;
  Vector grad[N][P];
  for (int c = 0; c < N; ++c)
    for (int p = 0; p < P; ++p) grad[c][p] = load(grads + c * grad_step + p * kLanes);
  for (long tx = 0; tx < z.side; ++tx)  // rows within: a load right after a store that it overlaps in part would wait
    for (long ty = 0; ty < z.side; ++ty) {
      if (!rows[ty]) continue;
      const float* of_tap = kernels + (ty * z.side + tx) * P * kLanes;
      Vector weights[P];
      for (int p = 0; p < P; ++p) weights[p] = load(of_tap + p * kLanes);
#pragma GCC unroll 8
      for (int c = 0; c < N; ++c) {
        float* to = rows[ty] + c * z.row() + tx * z.dilation;
        Vector sum = load(to);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) sum += weights[p] * grad[c][p];
        store(to, sum);
      }
    }
}

// Adds the products of gradient and map over channels to the gradient of K taps of one row of the window.
template <int S, int K>
inline void correlate(const Sizes& z, const float* row, const float* grads, long grad_step, long count, float* totals) {
  constexpr int P = kPhases<S>;
  Vector sums[K][P];
  for (int t = 0; t < K; ++t)
    for (int p = 0; p < P; ++p) sums[t][p] = load(totals + (t * P + p) * kLanes);
  for (long c = 0; c < count; ++c, row += z.row(), grads += grad_step) {
    Vector grad[P];
    for (int p = 0; p < P; ++p) grad[p] = load(grads + p * kLanes);
#pragma GCC unroll 5
    for (int t = 0; t < K; ++t) {
      const Vector value = load(row + t * z.dilation);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) sums[t][p] += grad[p] * value;
    }
  }
  for (int t = 0; t < K; ++t)
    for (int p = 0; p < P; ++p) store(totals + (t * P + p) * kLanes, sums[t][p]);
}

template <int S>
void correlate_row(const Sizes& z, const float* row, const float* grads, long grad_step, long count, float* totals) {
  constexpr int P = kPhases<S>;
  if (z.side == 3) return correlate<S, 3>(z, row, grads, grad_step, count, totals);
  if (z.side == 5) return correlate<S, 5>(z, row, grads, grad_step, count, totals);
  for (long t = 0; t < z.side; ++t)
    correlate<S, 1>(z, row + t * z.dilation, grads, grad_step, count, totals + t * P * kLanes);
}

template <typename T>
struct Gradients {
  const T* out;   // [channels, height * S, width * S]
  T* x;           // null where not needed
  T* weight;      // null where not needed
};

// Rows first to last - 1 of both gradients; rows that a window away pass something on are visited too.
template <int S, typename T>
void backward_strip(const Sizes& z, const T* x, const T* weight, const float* log_window, const Gradients<T>& grad,
                    long first, long last) {
  constexpr int P = kPhases<S>;
  Ring values(z), grad_x(z, true);
  const long row_kernels = z.chunks() * kLanes * z.taps() * P, out_width = z.width * S, plane = z.height * S * out_width;
  Scratch kernels(row_kernels), grad_kernels(row_kernels);
  const long grad_step = P * kLanes, padded = z.group_channels() + 8;
  Scratch grads(z.chunks() * padded * grad_step, true);
  const long begin = grad.x ? std::max(0L, first - z.reach()) : first;
  const long end = grad.x ? std::min(z.height, last + z.reach()) : last;
  for (long i = first - z.reach(); i < first + z.reach(); ++i)
    if (grad.weight) values.read(x, i);
  for (long i = begin; i < end; ++i) {
    const bool own = grad.weight && i >= first && i < last;
    if (own) values.read(x, i + z.reach());
    split_phases<S>(weight + i * S * out_width, z.taps(), plane, z.width, kernels.get());
    if (log_window) normalize<S>(kernels.get(), z.chunks(), z.taps(), log_window);
    split_phases<S>(grad.out + i * S * out_width, z.group_channels(), plane, z.width, grads.get());
    if (own) std::memset(grad_kernels.get(), 0, row_kernels * sizeof(float));
    for (long block = 0; block < z.group_channels(); block += kChannelBlock)
      for (long chunk = 0; chunk < z.chunks(); ++chunk) {
        const long at = chunk * z.taps() * grad_step, count = std::min(kChannelBlock, z.group_channels() - block);
        const float* of_block = grads.get() + (chunk * z.group_channels() + block) * grad_step;
        for (long ty = 0; own && ty < z.side; ++ty)
          correlate_row<S>(z, values.row(i - z.reach() + ty * z.dilation) + block * z.row() + chunk * kLanes, of_block,
                           grad_step, count, grad_kernels.get() + at + ty * z.side * grad_step);
        for (long c = 0; grad.x && c < count; c += kTogether<S>) {
          float* rows[16];
          for (long ty = 0; ty < z.side; ++ty) {
            const long number = i - z.reach() + ty * z.dilation;
            rows[ty] = number < first || number >= last
                           ? nullptr
                           : grad_x.row(number) + (block + c) * z.row() + chunk * kLanes;
          }
          spread<S>(z, rows, kernels.get() + at, of_block + c * grad_step, grad_step);
        }
      }
    if (own) {
      if (log_window) normalize_backward<S>(grad_kernels.get(), kernels.get(), z.chunks(), z.taps());
      merge_phases<S>(grad_kernels.get(), z.taps(), plane, z.width, grad.weight + i * S * out_width);
    }
    if (grad.x && i - z.reach() >= first) grad_x.write(grad.x, i - z.reach());
  }
  for (long i = std::max(first, end - z.reach()); grad.x && i < last; ++i) grad_x.write(grad.x, i);
}

template <int S, typename T>
void forward(const Sizes& z, const T* x, const T* weight, const float* log_window, T* out, long threads) {
  const long size = z.group_channels() * z.height * z.width, kernels = z.taps() * z.height * z.width * S * S;
  for_strips(z, threads, [&](long map, long first, long last) {
    forward_strip<S>(z, x + map * size, weight + map * kernels, log_window, out + map * size * S * S, first, last);
  });
}

template <int S, typename T>
void backward(const Sizes& z, const T* grad, const T* x, const T* weight, const float* log_window, T* grad_x,
              T* grad_weight, long threads) {
  const long size = z.group_channels() * z.height * z.width, kernels = z.taps() * z.height * z.width * S * S;
  for_strips(z, threads, [&](long map, long first, long last) {
    const Gradients<T> of_map{grad + map * size * S * S, grad_x ? grad_x + map * size : nullptr,
                              grad_weight ? grad_weight + map * kernels : nullptr};
    backward_strip<S>(z, x + map * size, weight + map * kernels, log_window, of_map, first, last);
  });
}

}  // namespace

#define DEALIAS_REASSEMBLE(T, suffix)                                                                                \
  extern "C" void dealias_reassemble_##suffix(const long* sizes, long scale, const T* x, const T* weight,            \
                                              const float* log_window, T* out, long threads) {                      \
    const Sizes z{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]};                             \
    (scale == 1 ? forward<1, T> : forward<2, T>)(z, x, weight, log_window, out, threads);                            \
  }                                                                                                                  \
  extern "C" void dealias_reassemble_backward_##suffix(const long* sizes, long scale, const T* grad, const T* x,     \
                                                       const T* weight, const float* log_window, T* grad_x,         \
                                                       T* grad_weight, long threads) {                               \
    const Sizes z{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]};                             \
    (scale == 1 ? backward<1, T> : backward<2, T>)(z, grad, x, weight, log_window, grad_x, grad_weight, threads);    \
  }

DEALIAS_REASSEMBLE(float, float32)
DEALIAS_REASSEMBLE(BFloat16, bfloat16)
