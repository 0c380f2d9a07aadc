// SPDX-License-Identifier: Apache-2.0
// Rows of a map as the kernels of windows read and write them, and strips of rows shared out to threads.
#pragma once

#include "vector.h"

// Of a map [batch, channels, height, width] and a window of side x side taps, `dilation` pixels apart.
struct Sizes {
  long batch, channels, height, width, groups, side, dilation;

  long taps() const { return side * side; }
  long reach() const { return side / 2 * dilation; }
  long slots() const { return 2 * reach() + 1; }
  long group_channels() const { return channels / groups; }
  long chunks() const { return (width + kLanes - 1) / kLanes; }
  long row() const { return round_up(width, kLanes) + 2 * reach() + kLanes; }  // floats of a row with its border
};

// Distances of neighbouring elements of a map: channels lie apart or, with `last`, side by side.
struct Layout {
  long channel, row, pixel;

  Layout(long channels, long height, long width, bool last)
      : channel(last ? 1 : height * width), row(last ? width * channels : width), pixel(last ? channels : 1) {}
};

// Rows around the current one, [slot][channel][row], with a border of zeros.
class Ring {
 public:
  explicit Ring(const Sizes& sizes, bool zero = false)
      : sizes_(sizes),
        slot_((sizes.group_channels() + 8) * sizes.row()),  // 8: a block of channels may read, not use, further ones
        memory_(sizes.slots() * slot_, zero) {}

  float* row(long number) const {
    const long slots = sizes_.slots();
    return memory_.get() + (number % slots + slots) % slots * slot_;
  }

  // Reads a row of a group's map; zeros outside.
  template <typename T>
  void read(const T* group, const Layout& layout, long number) {
    float* to = row(number);
    const long reach = sizes_.reach(), width = sizes_.width, row = sizes_.row();
    if (number < 0 || number >= sizes_.height) {
      std::memset(to, 0, slot_ * sizeof(float));
      return;
    }
    const T* from = group + number * layout.row;
    if (layout.pixel != 1) turn(from, layout.pixel, width, sizes_.group_channels(), to + reach, row);
    for (long c = 0; c < sizes_.group_channels(); ++c, to += row) {
      std::memset(to, 0, reach * sizeof(float));
      for (long j = 0; layout.pixel == 1 && j < width; ++j) to[reach + j] = widen(from[c * layout.channel + j]);
      std::memset(to + reach + width, 0, (row - reach - width) * sizeof(float));
    }
  }

  // Writes a row, and leaves zeros.
  template <typename T>
  void write(T* group, const Layout& layout, long number) {
    float* from = row(number);
    const long reach = sizes_.reach(), width = sizes_.width;
    T* to = group + number * layout.row;
    if (layout.pixel != 1) turn(from + reach, sizes_.row(), sizes_.group_channels(), width, to, layout.pixel);
    for (long c = 0; layout.pixel == 1 && c < sizes_.group_channels(); ++c)
      for (long j = 0; j < width; ++j) to[c * layout.channel + j] = narrow<T>(from[c * sizes_.row() + reach + j]);
    std::memset(from, 0, slot_ * sizeof(float));
  }

 private:
  const Sizes& sizes_;
  long slot_;
  Scratch memory_;
};

// Runs a function of (sample and group, first row, last row) over all rows, shared out to threads.
template <typename Strip>
void for_strips(const Sizes& z, long threads, const Strip& strip) {
  const long maps = z.batch * z.groups, strips = std::min(z.height, std::max(1L, (threads + maps - 1) / maps));
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(threads)
  for (long map = 0; map < maps; ++map)
    for (long s = 0; s < strips; ++s) strip(map, z.height * s / strips, z.height * (s + 1) / strips);
}
