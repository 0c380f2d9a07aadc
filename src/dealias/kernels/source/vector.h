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
