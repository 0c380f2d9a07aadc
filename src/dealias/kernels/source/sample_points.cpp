// SPDX-License-Identifier: Apache-2.0
// Weighted sums of bilinear samples on a CPU, and their gradients: grouped point sampling (DySample, arXiv:2308.15085),
// and with several taps deformable aggregation (DCNv3, arXiv:2211.05778).
//
// The map of a group is turned to [pixel][channel] first, so that a corner of a sample is a contiguous vector.
#include <cmath>

#include "rows.h"

namespace {

struct Shape {
  long maps, channels, height, width, taps, points;
  long border;  // 1: coordinates are limited to the map; 0: pixels outside the map are zero
  long groups, last;

  long padded() const { return round_up(channels, kLanes); }
  long pixels() const { return height * width; }
  // Distances in a map of `count` pixels or points: of channels, and of pixels; and where a group of it begins.
  long channel(long count) const { return last ? 1 : count; }
  long pixel() const { return last ? channels * groups : 1; }
  long start(long map, long count) const {
    return last ? map / groups * groups * channels * count + map % groups * channels : map * channels * count;
  }
};

// The corners of a sample: where they are in [pixel][channel], 0 where outside, and how much the point has of each.
struct Corners {
  long at[4];
  float share[4];
  float right, down;       // how far the point is past its left and upper corners
  float inside[4];         // 1, or 0 for a corner outside the map
  float moves_x, moves_y;  // 1, or 0 where the limit keeps the point from moving
};

inline float limited(float p, float last, float* moves) {
  *moves = p > 0.0f && p < last ? 1.0f : 0.0f;
  return p > 0.0f ? std::min(p, last) : 0.0f;
}

inline Corners corners_of(const Shape& s, float x, float y) {
  Corners c;
  const float width = static_cast<float>(s.width), height = static_cast<float>(s.height);
  c.moves_x = c.moves_y = 1.0f;
  if (s.border) {
    x = limited(x, width - 1.0f, &c.moves_x);
    y = limited(y, height - 1.0f, &c.moves_y);
  } else if (!(x > -1.0f && x < width && y > -1.0f && y < height)) {  // nan too
    return Corners{};
  }
  const float left = std::floor(x), top = std::floor(y);
  c.right = x - left, c.down = y - top;
  for (int n = 0; n < 4; ++n) {
    const long column = static_cast<long>(left) + (n & 1), row = static_cast<long>(top) + (n >> 1);
    const bool inside = column >= 0 && column < s.width && row >= 0 && row < s.height;
    c.inside[n] = inside ? 1.0f : 0.0f;
    c.at[n] = inside ? (row * s.width + column) * s.padded() : 0;
    c.share[n] = c.inside[n] * (n & 1 ? c.right : 1.0f - c.right) * (n >> 1 ? c.down : 1.0f - c.down);
  }
  return c;
}

// Pixels (or points) first to last - 1 of a group's map, which has `count`, to [pixel][padded channel].
template <typename T>
void read_pixels(const Shape& s, const T* from, long count, long first, long last, float* to) {
  if (!s.last) return turn(from + first, count, s.channels, last - first, to, s.padded());
  for (long p = first; p < last; ++p, to += s.padded())
    for (long c = 0; c < s.channels; ++c) to[c] = widen(from[p * s.pixel() + c]);
}

// The other way round.
template <typename T>
void write_pixels(const Shape& s, const float* from, long count, long first, long last, T* to) {
  if (!s.last) return turn(from, s.padded(), last - first, s.channels, to + first, count);
  for (long p = first; p < last; ++p, from += s.padded())
    for (long c = 0; c < s.channels; ++c) to[p * s.pixel() + c] = narrow<T>(from[c]);
}

// One group: the map, [taps, 2, points], [taps, points] or null for ones.
template <typename T>
struct Group {
  const T* map;
  const float* points;
  const float* weights;

  float x(const Shape& s, long tap, long p) const { return points[tap * 2 * s.points + p]; }
  float y(const Shape& s, long tap, long p) const { return points[(tap * 2 + 1) * s.points + p]; }
  float weight(const Shape& s, long tap, long p) const { return weights ? weights[tap * s.points + p] : 1.0f; }
};

constexpr long kBlock = 32;  // points whose sums are turned back together

template <typename T>
void forward_points(const Shape& s, const Group<T>& group, const float* map, T* out, long first, long last) {
  Scratch sums(kBlock * s.padded());
  for (long begin = first; begin < last; begin += kBlock) {
    const long end = std::min(begin + kBlock, last);
    std::memset(sums.get(), 0, kBlock * s.padded() * sizeof(float));
    for (long p = begin; p < end; ++p)
      for (long tap = 0; tap < s.taps; ++tap) {
        const Corners c = corners_of(s, group.x(s, tap, p), group.y(s, tap, p));
        const float weight = group.weight(s, tap, p);
        float* sum = sums.get() + (p - begin) * s.padded();
        for (long v = 0; v < s.padded(); v += kLanes) {
          Vector total = load(sum + v);
          for (int n = 0; n < 4; ++n) total += c.share[n] * weight * load(map + c.at[n] + v);
          store(sum + v, total);
        }
      }
    write_pixels(s, sums.get(), s.points, begin, end, out);
  }
}

inline float sum_of(Vector v) {
  float sum = 0.0f;
  for (long lane = 0; lane < kLanes; ++lane) sum += v[lane];
  return sum;
}

template <typename T>
struct Gradients {
  const T* out;    // [channels, points]
  T* map;          // null where not needed, as the others
  float* points;   // [taps, 2, points]
  float* weights;  // [taps, points]
};

template <typename T>
void backward_point(const Shape& s, const Group<T>& group, const Gradients<T>& grad, const float* map,
                    const float* arriving, float* grad_map, long p) {
  for (long tap = 0; tap < s.taps; ++tap) {
    const Corners c = corners_of(s, group.x(s, tap, p), group.y(s, tap, p));
    const float weight = group.weight(s, tap, p);
    if (grad.map)
      for (int n = 0; n < 4; ++n)
        for (long v = 0; v < s.padded() && c.share[n] != 0.0f; v += kLanes)
          store(grad_map + c.at[n] + v, load(grad_map + c.at[n] + v) + c.share[n] * weight * load(arriving + v));
    if (!grad.points && !grad.weights) continue;
    float product[4];  // of the gradient with every corner
    for (int n = 0; n < 4; ++n) {
      Vector sum = {};
      for (long v = 0; v < s.padded(); v += kLanes) sum += load(arriving + v) * load(map + c.at[n] + v);
      product[n] = c.inside[n] * sum_of(sum);
    }
    if (grad.weights)
      grad.weights[tap * s.points + p] = c.share[0] * product[0] + c.share[1] * product[1] + c.share[2] * product[2] +
                                         c.share[3] * product[3];
    if (!grad.points) continue;
    const float across = (1.0f - c.down) * (product[1] - product[0]) + c.down * (product[3] - product[2]);
    const float along = (1.0f - c.right) * (product[2] - product[0]) + c.right * (product[3] - product[1]);
    grad.points[tap * 2 * s.points + p] = weight * c.moves_x * across;
    grad.points[(tap * 2 + 1) * s.points + p] = weight * c.moves_y * along;
  }
}

template <typename T>
void forward(const Shape& s, const T* x, const float* points, const float* weights, T* out, long threads) {
  const long strips = std::max(1L, (threads + s.maps - 1) / std::max(1L, s.maps));
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(threads)
  for (long m = 0; m < s.maps; ++m)
    for (long strip = 0; strip < strips; ++strip) {
      const Group<T> group{x + s.start(m, s.pixels()), points + m * s.taps * 2 * s.points,
                           weights ? weights + m * s.taps * s.points : nullptr};
      Scratch map(s.pixels() * s.padded(), true);
      read_pixels(s, group.map, s.pixels(), 0, s.pixels(), map.get());
      forward_points(s, group, map.get(), out + s.start(m, s.points), s.points * strip / strips,
                     s.points * (strip + 1) / strips);
    }
}

template <typename T>
void backward(const Shape& s, const T* grad, const T* x, const float* points, const float* weights, T* grad_x,
              float* grad_points, float* grad_weights, long threads) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (long m = 0; m < s.maps; ++m) {
    const Group<T> group{x + s.start(m, s.pixels()), points + m * s.taps * 2 * s.points,
                         weights ? weights + m * s.taps * s.points : nullptr};
    const Gradients<T> gradients{grad + s.start(m, s.points), grad_x ? grad_x + s.start(m, s.pixels()) : nullptr,
                                 grad_points ? grad_points + m * s.taps * 2 * s.points : nullptr,
                                 grad_weights ? grad_weights + m * s.taps * s.points : nullptr};
    Scratch map(s.pixels() * s.padded(), true), grad_map(grad_x ? s.pixels() * s.padded() : 0, true);
    Scratch arriving(kBlock * s.padded(), true);
    if (grad_points || grad_weights) read_pixels(s, group.map, s.pixels(), 0, s.pixels(), map.get());
    for (long begin = 0; begin < s.points; begin += kBlock) {
      const long end = std::min(begin + kBlock, s.points);
      read_pixels(s, gradients.out, s.points, begin, end, arriving.get());
      for (long p = begin; p < end; ++p)
        backward_point(s, group, gradients, map.get(), arriving.get() + (p - begin) * s.padded(), grad_map.get(), p);
    }
    if (grad_x) write_pixels(s, grad_map.get(), s.pixels(), 0, s.pixels(), gradients.map);
  }
}

}  // namespace

// sizes: maps (batch x groups), channels of a group, height, width, taps, points of a map, border, groups, last.
#define DEALIAS_SAMPLE_POINTS(T, suffix)                                                                            \
  extern "C" void dealias_sample_points_##suffix(const long* sizes, const T* x, const float* points,                \
                                                 const float* weights, T* out, long threads) {                     \
    const Shape s{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4],                                                \
                  sizes[5], sizes[6], sizes[7], sizes[8]};                                                          \
    forward(s, x, points, weights, out, threads);                                                                   \
  }                                                                                                                 \
  extern "C" void dealias_sample_points_backward_##suffix(const long* sizes, const T* grad, const T* x,             \
                                                          const float* points, const float* weights, T* grad_x,     \
                                                          float* grad_points, float* grad_weights, long threads) {  \
    const Shape s{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4],                                                \
                  sizes[5], sizes[6], sizes[7], sizes[8]};                                                          \
    backward(s, grad, x, points, weights, grad_x, grad_points, grad_weights, threads);                              \
  }

DEALIAS_SAMPLE_POINTS(float, float32)
DEALIAS_SAMPLE_POINTS(BFloat16, bfloat16)
