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

// The map, and the similarities [side * side - 1, height, width]; laid out alike.
struct Maps {
  Sizes sizes;
  Layout x, out;
  bool cosine;

  Maps(const Sizes& z, bool last, bool cosine)
      : sizes(z), x(z.channels, z.height, z.width, last), out(z.taps() - 1, z.height, z.width, last), cosine(cosine) {}

  long x_start(long sample) const { return sample * sizes.channels * sizes.height * sizes.width; }
  long out_start(long sample) const { return sample * (sizes.taps() - 1) * sizes.height * sizes.width; }
};

template <typename T>
void forward_strip(const Maps& maps, const T* x, T* out, long first, long last) {
  const Sizes& z = maps.sizes;
  const Neighbours neighbours(z);
  const long half = neighbours.count / 2, pixel = maps.out.pixel;
  Ring values(z);
  Norms norms(z, maps.cosine);
  for (long i = first - z.reach(); i < first; ++i) values.read(x, maps.x, i), norms.read(values, i);
  for (long i = first; i < last; ++i) {
    values.read(x, maps.x, i);
    norms.read(values, i);
    const float* here = values.row(i) + z.reach();
    for (long n = 0; n < half; ++n) {
      const long dx = neighbours.dx[n], row = i + neighbours.dy[n];
      if (row < 0) continue;
      const float *there = values.row(row) + z.reach() + dx, *norms_here = norms.row(i), *norms_there = norms.row(row) + dx;
      T* to = out + n * maps.out.channel + i * maps.out.row;
      T* back = out + (neighbours.count - 1 - n) * maps.out.channel + row * maps.out.row + dx * pixel;
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
        for (long k = begin; k < end; ++k) to[k * pixel] = back[k * pixel] = narrow<T>(sum[k - j]);
      }
    }
  }
}

// Of unit vectors v a pair (p, q) passes (g_pq + g_qp) v_q on to v_p; what of it is at right angles to v_p, divided by
// the norm, is the gradient of x_p. A vector shorter than the smallest norm is not normalised, but scaled.
template <typename T>
void backward_strip(const Maps& maps, const T* grad, const T* x, T* grad_x, long first, long last) {
  const Sizes& z = maps.sizes;
  const Neighbours neighbours(z);
  const long columns = z.chunks() * kLanes, pixel = maps.out.pixel;
  Ring values(z);
  Norms norms(z, maps.cosine);
  Scratch pairs(neighbours.count * columns), totals(z.channels * kLanes);
  for (long i = first - z.reach(); i < first + z.reach(); ++i) values.read(x, maps.x, i), norms.read(values, i);
  for (long i = first; i < last; ++i) {
    values.read(x, maps.x, i + z.reach());
    norms.read(values, i + z.reach());
    for (long n = 0; n < neighbours.count; ++n) {  // what comes from each neighbour, over its norm
      const long dx = neighbours.dx[n], row = i + neighbours.dy[n];
      float* pair = pairs.get() + n * columns;
      std::memset(pair, 0, columns * sizeof(float));
      if (row < 0 || row >= z.height) continue;
      const T* mine = grad + n * maps.out.channel + i * maps.out.row;
      const T* its = grad + (neighbours.count - 1 - n) * maps.out.channel + row * maps.out.row + dx * pixel;
      const float* its_norm = norms.row(row) + dx;
      for (long j = std::max(0L, -dx); j < std::min(z.width, z.width - dx); ++j)
        pair[j] = (widen(mine[j * pixel]) + widen(its[j * pixel])) / its_norm[j];
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
      radial = maps.cosine ? (norm > kSmallestNorm ? radial / (norm * norm) : Vector{}) : Vector{};
      const long valid = std::min(kLanes, z.width - j);
      T* to = grad_x + i * maps.x.row + j * maps.x.pixel;
      for (long c = 0; c < z.channels; ++c) {
        const Vector value = (load(totals.get() + c * kLanes) - radial * load(here + c * z.row() + j)) / norm;
        store(totals.get() + c * kLanes, value);
        for (long lane = 0; maps.x.pixel == 1 && lane < valid; ++lane)
          to[c * maps.x.channel + lane] = narrow<T>(value[lane]);
      }
      if (maps.x.pixel != 1) turn(totals.get(), kLanes, z.channels, valid, to, maps.x.pixel);
    }
  }
}

}  // namespace

// sizes: batch, channels, height, width, 1, side, dilation. out [batch, side * side - 1, height, width] holds zeros.
#define DEALIAS_LOCAL_SIMILARITY(T, suffix)                                                                          \
  extern "C" void dealias_local_similarity_##suffix(const long* sizes, long cosine, long last, const T* x, T* out,   \
                                                    long threads) {                                                  \
    const Sizes z{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]};                             \
    const Maps maps(z, last, cosine);                                                                                \
    for_strips(z, threads, [&](long sample, long first, long last_row) {                                             \
      forward_strip(maps, x + maps.x_start(sample), out + maps.out_start(sample), first, last_row);                  \
    });                                                                                                              \
  }                                                                                                                  \
  extern "C" void dealias_local_similarity_backward_##suffix(const long* sizes, long cosine, long last,              \
                                                             const T* grad, const T* x, T* grad_x, long threads) {   \
    const Sizes z{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]};                             \
    const Maps maps(z, last, cosine);                                                                                \
    for_strips(z, threads, [&](long sample, long first, long last_row) {                                             \
      backward_strip(maps, grad + maps.out_start(sample), x + maps.x_start(sample), grad_x + maps.x_start(sample),   \
                     first, last_row);                                                                               \
    });                                                                                                              \
  }

DEALIAS_LOCAL_SIMILARITY(float, float32)
DEALIAS_LOCAL_SIMILARITY(BFloat16, bfloat16)
