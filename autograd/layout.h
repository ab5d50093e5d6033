// Tape wrappers of the ops that arrange elements.
#pragma once
#include <numeric>

#include "autograd/tape.h"
#include "engine/ops/layout.h"

namespace alinea {

/// Contiguous x under another shape; one size may be -1. A view.
inline Variable reshape(const Variable& x, const Shape& shape) { return Tape::apply(Reshape{shape}, "reshape", x); }
/// Axis i of the result is axis order[i] of x. A view: compact() before ops that want contiguous inputs.
inline Variable permute(const Variable& x, std::vector<int> order) { return Tape::apply(Permute{std::move(order)}, "permute", x); }
/// Axes a and b exchanged. A view.
inline Variable transpose(const Variable& x, int a, int b) {
  std::vector<int> order(size_t(x.value().rank()));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[size_t(x.shape().index(a))], order[size_t(x.shape().index(b))]);
  return permute(x, std::move(order));
}
/// Elements begin … end-1 of an axis. A view.
inline Variable slice(const Variable& x, int axis, int64_t begin, int64_t end) { return Tape::apply(Slice{axis, begin, end}, "slice", x); }
/// A contiguous copy of a strided view; x itself when it is contiguous.
inline Variable compact(const Variable& x) { return Tape::apply(Compact{}, "compact", x); }
/// Any number of tensors one after the other; fours are joined first, so n parts are copied ⌈log₄ n⌉ times.
inline Variable concat(std::vector<Variable> parts, int axis) {
  require(!parts.empty(), "concat: there are no tensors to join");
  while (parts.size() > 1) {
    std::vector<Variable> joined;
    for (size_t i = 0; i < parts.size(); i += 4) {
      auto part = [&](size_t k) { return i + k < parts.size() ? parts[i + k] : Variable(); };
      joined.push_back(part(1) ? Tape::apply(Concat{axis}, "concat", part(0), part(1), part(2), part(3)) : part(0));
    }
    parts = std::move(joined);
  }
  return parts[0];
}
/// x repeated along axes of size 1 and new leading axes. A copy.
inline Variable expand(const Variable& x, const Shape& shape) { return Tape::apply(Expand{shape}, "expand", x); }

}  // namespace alinea
