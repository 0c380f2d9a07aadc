// SPDX-License-Identifier: Apache-2.0
// The gradients of reassembly (see reassemble.cpp) on a CPU. Kernels are made again from their logits, row by row.
#include "phases.h"

namespace {

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

// The gradient of 2 x - sum: its sign is changed, and twice it goes straight to x (a row of the map's gradient, or null).
void sharpen_backward(const Sizes& z, float* grads, float* grad_x) {
  for (long chunk = 0; chunk < z.chunks(); ++chunk)
    for (long c = 0; c < z.group_channels(); ++c, grads += kLanes) {
      const Vector grad = load(grads);
      store(grads, -grad);
      if (!grad_x) continue;
      float* to = grad_x + c * z.row() + z.reach() + chunk * kLanes;
      store(to, load(to) + 2.0f * grad);
    }
}

template <typename T>
struct Gradients {
  const T* out;
  T* x;       // null where not needed
  T* weight;  // null where not needed
};

// Rows first to last - 1 of both gradients; rows that a window away pass something on are visited too.
template <int S, typename T>
void backward_strip(const Reassembly& call, const T* x, const T* weight, const Gradients<T>& grad, long first,
                    long last) {
  constexpr int P = kPhases<S>;
  const Sizes& z = call.sizes;
  Ring values(z), grad_x(z, true);
  const long row_kernels = z.chunks() * kLanes * z.taps() * P, grad_step = P * kLanes;
  Scratch kernels(row_kernels), grad_kernels(row_kernels);
  Scratch grads(z.chunks() * (z.group_channels() + 8) * grad_step, true);
  const long begin = grad.x ? std::max(0L, first - z.reach()) : first;
  const long end = grad.x ? std::min(z.height, last + z.reach()) : last;
  for (long i = first - z.reach(); i < first + z.reach(); ++i)
    if (grad.weight) values.read(x, call.x, i);
  for (long i = begin; i < end; ++i) {
    const bool own = i >= first && i < last;
    if (own && grad.weight) values.read(x, call.x, i + z.reach());
    split_phases<S>(weight + i * S * call.weight.row, call.weight, z.taps(), z.width, kernels.get());
    if (call.log_window) normalize<S>(kernels.get(), z.chunks(), z.taps(), call.log_window);
    split_phases<S>(grad.out + i * S * call.out.row, call.out, z.group_channels(), z.width, grads.get());
    if (call.sharpen) sharpen_backward(z, grads.get(), own && grad.x ? grad_x.row(i) : nullptr);
    if (own && grad.weight) std::memset(grad_kernels.get(), 0, row_kernels * sizeof(float));
    for (long block = 0; block < z.group_channels(); block += kChannelBlock)
      for (long chunk = 0; chunk < z.chunks(); ++chunk) {
        const long at = chunk * z.taps() * grad_step, count = std::min(kChannelBlock, z.group_channels() - block);
        const float* of_block = grads.get() + (chunk * z.group_channels() + block) * grad_step;
        for (long ty = 0; own && grad.weight && ty < z.side; ++ty)
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
    if (own && grad.weight) {
      if (call.log_window) normalize_backward<S>(grad_kernels.get(), kernels.get(), z.chunks(), z.taps());
      for (long chunk = 0; chunk < z.chunks(); ++chunk)
        merge_phases<S>(grad_kernels.get() + chunk * z.taps() * grad_step, call.weight, z.taps(),
                        std::min(kLanes, z.width - chunk * kLanes),
                        grad.weight + i * S * call.weight.row + chunk * kLanes * S * call.weight.pixel);
    }
    if (grad.x && i - z.reach() >= first) grad_x.write(grad.x, call.x, i - z.reach());
  }
  for (long i = std::max(first, end - z.reach()); grad.x && i < last; ++i) grad_x.write(grad.x, call.x, i);
}

template <int S, typename T>
void backward(const Reassembly& call, const T* x, const T* weight, const Gradients<T>& grad, long threads) {
  for_strips(call.sizes, threads, [&](long map, long first, long last) {
    const Gradients<T> of_map{grad.out + call.out_start(map, S), grad.x ? grad.x + call.x_start(map) : nullptr,
                              grad.weight ? grad.weight + call.weight_start(map, S) : nullptr};
    backward_strip<S>(call, x + call.x_start(map), weight + call.weight_start(map, S), of_map, first, last);
  });
}

}  // namespace

// sizes: batch, channels, height, width, groups, side, dilation.
#define DEALIAS_REASSEMBLE_BACKWARD(T, suffix)                                                                      \
  extern "C" void dealias_reassemble_backward_##suffix(const long* sizes, long scale, long last, long sharpen,      \
                                                       const T* grad, const T* x, const T* weight,                  \
                                                       const float* log_window, T* grad_x, T* grad_weight,          \
                                                       long threads) {                                              \
    const Sizes z{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]};                            \
    const Reassembly call(z, scale, last, log_window, sharpen);                                                     \
    (scale == 1 ? backward<1, T> : backward<2, T>)(call, x, weight, {grad, grad_x, grad_weight}, threads);          \
  }

DEALIAS_REASSEMBLE_BACKWARD(float, float32)
DEALIAS_REASSEMBLE_BACKWARD(BFloat16, bfloat16)
