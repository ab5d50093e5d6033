// How a small shape lies in a large one: which axes are repeated. Shared by expand and sum_to, which are each other's gradient.
#pragma once
#include "engine/core/shape.h"

namespace alinea {

/// Some axes of a contiguous tensor, walked in row-major order.
struct AxisWalk {
  Shape sizes, strides;
  int64_t count() const { return sizes.count(); }
  void add_front(int64_t size, int64_t stride) {
    for (int i = sizes.rank++; i > 0; --i) sizes.dim[i] = sizes.dim[i - 1], strides.dim[i] = strides.dim[i - 1];
    strides.rank = sizes.rank;
    sizes.dim[0] = size, strides.dim[0] = stride;
  }
  int64_t offset(int64_t i) const {
    int64_t at = 0;
    for (int a = sizes.rank; a-- > 0;) at += i % sizes.dim[a] * strides.dim[a], i /= sizes.dim[a];
    return at;
  }
};

/// Axes of `large`, all counted as offsets into it: the trailing run of one kind (`inner` elements, repeated or not), and before it the axes
/// that `small` has (`own`, in small's order, each with `inner` or one element of small) and those it is repeated along (`repeated`).
struct BroadcastAxes {
  AxisWalk own, repeated;
  int64_t inner = 1;
  bool inner_repeated = false;

  BroadcastAxes(const Shape& small, const Shape& large, std::string_view op) {
    bool fits = small.rank <= large.rank;
    const int lead = large.rank - small.rank;
    auto repeats = [&](int a) { return a < lead || small.dim[a - lead] != large.dim[a]; };
    for (int a = std::max(0, lead); fits && a < large.rank; ++a) fits = !repeats(a) || small.dim[a - lead] == 1;
    require(fits, "{}: {} and {} do not fit; counted from the last, every axis must be equal or 1, new axes stand in front", op, small, large);
    int a = large.rank;
    while (a > 0 && large.dim[a - 1] == 1) --a;
    inner_repeated = a > 0 && repeats(a - 1);
    for (; a > 0 && (large.dim[a - 1] == 1 || repeats(a - 1) == inner_repeated); --a) inner *= large.dim[a - 1];
    int64_t stride = inner;
    for (; a > 0; stride *= large.dim[--a])
      if (large.dim[a - 1] != 1) (repeats(a - 1) ? repeated : own).add_front(large.dim[a - 1], stride);
  }
};

}  // namespace alinea
