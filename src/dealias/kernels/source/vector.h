// SPDX-License-Identifier: Apache-2.0
// Vectors of floats as the compiler offers them, of the width of the processor that it builds for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#if defined(__AVX512F__)
constexpr long kLanes = 16;
#elif defined(__AVX__)
constexpr long kLanes = 8;
#else
constexpr long kLanes = 4;
#endif

typedef float Vector __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVector __attribute__((vector_size(kLanes * 4)));
typedef float UnalignedVector __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

static inline Vector load(const float* from) { return *reinterpret_cast<const UnalignedVector*>(from); }
static inline void store(float* to, Vector values) { *reinterpret_cast<UnalignedVector*>(to) = values; }
static inline Vector splat(float value) { return value - Vector{}; }
static inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }

// e^x for x <= 0, to about one unit in the last place (the polynomial of Cephes); 0 below -87.
static inline Vector exp_of_negative(Vector x) {
  const IntVector underflow = x < -87.0f;
  x = underflow ? Vector{} : x;
  const Vector rounded = x * 1.44269504088896341f + 12582912.0f;  // the integer nearest to x / log 2 in its last bits
  const Vector power = rounded - 12582912.0f;
  const Vector rest = x - power * 0.693359375f - power * -2.12194440e-4f;
  Vector y = splat(1.9875691500e-4f);
  for (float factor : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    y = y * rest + factor;
  y = y * rest * rest + rest + 1.0f;
  const IntVector scaled = reinterpret_cast<IntVector>(y) + (reinterpret_cast<IntVector>(rounded) << 23);
  return underflow ? Vector{} : reinterpret_cast<Vector>(scaled);
}

// bfloat16 is the upper half of a float32.
struct BFloat16 {
  uint16_t bits;
};

static inline float widen(float value) { return value; }
static inline float widen(BFloat16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

template <typename T>
static inline T narrow(float value);
template <>
inline float narrow<float>(float value) {
  return value;
}
template <>
inline BFloat16 narrow<BFloat16>(float value) {  // to the nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return {static_cast<uint16_t>(value != value ? 0x7fc0 : rounded)};
}

template <typename T>
static inline Vector load_wide(const T* from) {
  Vector wide;
  for (long lane = 0; lane < kLanes; ++lane) wide[lane] = widen(from[lane]);
  return wide;
}

template <typename T>
static inline void store_narrow(T* to, Vector values) {
  for (long lane = 0; lane < kLanes; ++lane) to[lane] = narrow<T>(values[lane]);
}

// The first (or second) halves of a and b, lane by lane in turns.
static inline Vector interleave(Vector a, Vector b, bool second) {
#if defined(__clang__)
  Vector mixed;
  for (long lane = 0; lane < kLanes; ++lane) mixed[lane] = (lane & 1 ? b : a)[lane / 2 + second * kLanes / 2];
  return mixed;
#else
  IntVector lanes;
  for (long lane = 0; lane < kLanes; ++lane) lanes[lane] = lane / 2 + (lane & 1) * kLanes + second * kLanes / 2;
  return __builtin_shuffle(a, b, lanes);
#endif
}

// Turns kLanes x kLanes: rows of the first half and of the second are interleaved until they are columns.
template <typename A, typename B>
inline void turn_tile(const A* from, long from_step, B* to, long to_step) {
  Vector rows[kLanes], mixed[kLanes];
#pragma GCC unroll 16
  for (long r = 0; r < kLanes; ++r) rows[r] = load_wide(from + r * from_step);
#pragma GCC unroll 4
  for (long done = 1; done < kLanes; done *= 2) {
#pragma GCC unroll 8
    for (long r = 0; r < kLanes / 2; ++r) {
      mixed[2 * r] = interleave(rows[r], rows[r + kLanes / 2], false);
      mixed[2 * r + 1] = interleave(rows[r], rows[r + kLanes / 2], true);
    }
#pragma GCC unroll 16
    for (long r = 0; r < kLanes; ++r) rows[r] = mixed[r];
  }
#pragma GCC unroll 16
  for (long r = 0; r < kLanes; ++r) store_narrow(to + r * to_step, rows[r]);
}

// Turns [rows][columns] into [columns][rows], with rows `from_step` and `to_step` elements apart.
template <typename A, typename B>
inline void turn(const A* from, long from_step, long rows, long columns, B* to, long to_step) {
  for (long r = 0; r < rows; r += kLanes)
    for (long c = 0; c < columns; c += kLanes) {
      const long down = std::min(kLanes, rows - r), across = std::min(kLanes, columns - c);
      const A* tile = from + r * from_step + c;
      B* turned = to + c * to_step + r;
      if (down == kLanes && across == kLanes) {
        turn_tile(tile, from_step, turned, to_step);
        continue;
      }
      for (long j = 0; j < across; ++j)
        for (long i = 0; i < down; ++i) turned[j * to_step + i] = narrow<B>(widen(tile[i * from_step + j]));
    }
}

static inline long round_up(long size, long step) { return (size + step - 1) / step * step; }

// Scratch memory of one thread, aligned to a cache line; zero where asked for.
class Scratch {
 public:
  explicit Scratch(long floats, bool zero = false)
      : data_(static_cast<float*>(std::aligned_alloc(64, round_up(floats * 4 + 64, 64)))) {
    if (zero) std::memset(data_.get(), 0, floats * 4);
  }
  float* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(float* data) const { std::free(data); }
  };
  std::unique_ptr<float, Free> data_;
};
