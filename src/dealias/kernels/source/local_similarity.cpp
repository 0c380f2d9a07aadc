// SPDX-License-Identifier: Apache-2.0
// Similarity of every pixel to its neighbours (FreqFusion, arXiv:2408.12879) and its gradient on a CPU.
//
// A pair of neighbours has one dot product, which serves both: rows are visited downwards, and pixels compared with the
// neighbours before them in row-major order.
#include <cmath>

#include "rows.h"

namespace {

constexpr float kSmallestNorm = 1e-8f;
constexpr int kMostNeighbours = 48;  // windows of up to 7 x 7

struct Neighbours {
  long count = 0;
  long dy[kMostNeighbours], dx[kMostNeighbours];

  explicit Neighbours(const Sizes& z) {
    for (long y = -z.reach(); y <= z.reach(); y += z.dilation)
      for (long x = -z.reach(); x <= z.reach(); x += z.dilation)
        if (x || y) dy[count] = y, dx[count++] = x;
  }
};

// Norms of a row's pixels, [chunks * lanes]; 1 for products that are not normalised.
void row_norms(const Sizes& z, const float* row, bool cosine, float* norms) {
  for (long j = 0; j < z.chunks() * kLanes; j += kLanes) {
    Vector sum = {};
    for (long c = 0; cosine && c < z.channels; ++c) {
      const Vector value = load(row + c * z.row() + z.reach() + j);
      sum += value * value;
    }
    for (long lane = 0; lane < kLanes; ++lane)
      norms[j + lane] = cosine ? std::max(std::sqrt(sum[lane]), kSmallestNorm) : 1.0f;
  }
}

// Rows of norms around the current one, with a border of ones.
class Norms {
 public:
  Norms(const Sizes& sizes, bool cosine)
      : sizes_(sizes), cosine_(cosine), memory_(sizes.slots() * sizes.row()) {
    std::fill_n(memory_.get(), sizes.slots() * sizes.row(), 1.0f);
  }

  float* row(long number) const {
    const long slots = sizes_.slots();
    return memory_.get() + (number % slots + slots) % slots * sizes_.row() + sizes_.reach();
  }

  void read(const Ring& values, long number) {
    if (number >= 0 && number < sizes_.height) row_norms(sizes_, values.row(number), cosine_, row(number));
  }

 private:
  const Sizes& sizes_;
  bool cosine_;
  Scratch memory_;
};

template <typename T>
void forward_strip(const Sizes& z, const T* x, bool cosine, T* out, long first, long last) {
  const Neighbours neighbours(z);
  const long half = neighbours.count / 2, plane = z.height * z.width;
  Ring values(z);
  Norms norms(z, cosine);
  for (long i = first - z.reach(); i < first; ++i) values.read(x, i), norms.read(values, i);
  for (long i = first; i < last; ++i) {
    values.read(x, i);
    norms.read(values, i);
    const float* here = values.row(i) + z.reach();
    for (long n = 0; n < half; ++n) {
      const long dx = neighbours.dx[n], row = i + neighbours.dy[n];
      if (row < 0) continue;
      const float *there = values.row(row) + z.reach() + dx, *norms_here = norms.row(i), *norms_there = norms.row(row) + dx;
      T *to = out + n * plane + i * z.width, *back = out + (neighbours.count - 1 - n) * plane + row * z.width + dx;
      for (long j = 0; j < z.width; j += kLanes) {
        Vector sum = {}, more = {};
        long c = 0;
        for (; c + 1 < z.channels; c += 2) {
          sum += load(here + c * z.row() + j) * load(there + c * z.row() + j);
          more += load(here + (c + 1) * z.row() + j) * load(there + (c + 1) * z.row() + j);
        }
        if (c < z.channels) sum += load(here + c * z.row() + j) * load(there + c * z.row() + j);
        sum = (sum + more) / (load(norms_here + j) * load(norms_there + j));
        const long begin = std::max(j, -dx), end = std::min(std::min(j + kLanes, z.width), z.width - dx);
        for (long k = begin; k < end; ++k) to[k] = back[k] = narrow<T>(sum[k - j]);
      }
    }
  }
}

// Of unit vectors v a pair (p, q) passes (g_pq + g_qp) v_q on to v_p; what of it is at right angles to v_p, divided by
// the norm, is the gradient of x_p. A vector shorter than the smallest norm is not normalised, but scaled.
template <typename T>
void backward_strip(const Sizes& z, const T* grad, const T* x, bool cosine, T* grad_x, long first, long last) {
  const Neighbours neighbours(z);
  const long plane = z.height * z.width, columns = z.chunks() * kLanes;
  Ring values(z);
  Norms norms(z, cosine);
  Scratch pairs(neighbours.count * columns), totals(z.channels * kLanes);
  for (long i = first - z.reach(); i < first + z.reach(); ++i) values.read(x, i), norms.read(values, i);
  for (long i = first; i < last; ++i) {
    values.read(x, i + z.reach());
    norms.read(values, i + z.reach());
    for (long n = 0; n < neighbours.count; ++n) {  // what comes from each neighbour, over its norm
      const long dx = neighbours.dx[n], row = i + neighbours.dy[n];
      float* pair = pairs.get() + n * columns;
      std::memset(pair, 0, columns * sizeof(float));
      if (row < 0 || row >= z.height) continue;
      const T *mine = grad + n * plane + i * z.width, *its = grad + (neighbours.count - 1 - n) * plane + row * z.width + dx;
      const float* its_norm = norms.row(row) + dx;
      for (long j = std::max(0L, -dx); j < std::min(z.width, z.width - dx); ++j)
        pair[j] = (widen(mine[j]) + widen(its[j])) / its_norm[j];
    }
    const float* here = values.row(i) + z.reach();
    for (long j = 0; j < z.width; j += kLanes) {
      const float* there[kMostNeighbours];
      for (long n = 0; n < neighbours.count; ++n)
        there[n] = values.row(i + neighbours.dy[n]) + z.reach() + neighbours.dx[n] + j;
      Vector radial = {};
      for (long c = 0; c < z.channels; ++c) {
        Vector total = {};
        for (long n = 0; n < neighbours.count; ++n)
          total += load(pairs.get() + n * columns + j) * load(there[n] + c * z.row());
        radial += total * load(here + c * z.row() + j);
        store(totals.get() + c * kLanes, total);
      }
      const Vector norm = load(norms.row(i) + j);
      radial = cosine ? (norm > kSmallestNorm ? radial / (norm * norm) : Vector{}) : Vector{};
      const long valid = std::min(kLanes, z.width - j);
      for (long c = 0; c < z.channels; ++c) {
        const Vector value = (load(totals.get() + c * kLanes) - radial * load(here + c * z.row() + j)) / norm;
        T* to = grad_x + c * plane + i * z.width + j;
        for (long lane = 0; lane < valid; ++lane) to[lane] = narrow<T>(value[lane]);
      }
    }
  }
}

}  // namespace

// sizes: batch, channels, height, width, 1, side, dilation. out [batch, side * side - 1, height, width] holds zeros.
#define DEALIAS_LOCAL_SIMILARITY(T, suffix)                                                                           \
  extern "C" void dealias_local_similarity_##suffix(const long* sizes, long cosine, const T* x, T* out, long threads) { \
    const Sizes z{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]};                              \
    const long size = z.channels * z.height * z.width, plane = z.height * z.width;                                    \
    for_strips(z, threads, [&](long sample, long first, long last) {                                                  \
      forward_strip(z, x + sample * size, cosine, out + sample * (z.taps() - 1) * plane, first, last);                \
    });                                                                                                               \
  }                                                                                                                   \
  extern "C" void dealias_local_similarity_backward_##suffix(const long* sizes, long cosine, const T* grad,           \
                                                             const T* x, T* grad_x, long threads) {                   \
    const Sizes z{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]};                              \
    const long size = z.channels * z.height * z.width, plane = z.height * z.width;                                    \
    for_strips(z, threads, [&](long sample, long first, long last) {                                                  \
      backward_strip(z, grad + sample * (z.taps() - 1) * plane, x + sample * size, cosine, grad_x + sample * size,    \
                     first, last);                                                                                    \
    });                                                                                                               \
  }

DEALIAS_LOCAL_SIMILARITY(float, float32)
DEALIAS_LOCAL_SIMILARITY(BFloat16, bfloat16)
