// The shape of a tensor: up to six axes, stored inline.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "engine/core/error.h"

namespace alinea {

struct Shape {
  static constexpr int max_rank = 6;
  std::array<int64_t, max_rank> dim{};
  int rank = 0;

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) : Shape(std::span<const int64_t>(sizes.begin(), sizes.size())) {}
  explicit Shape(std::span<const int64_t> sizes) {
    require(sizes.size() <= max_rank, "shape: {} axes, at most {} are possible", sizes.size(), int(max_rank));
    for (const int64_t n : sizes) dim[rank++] = n;
  }

  /// Size of an axis; negative axes count from the last.
  int64_t operator[](int axis) const { return dim[index(axis)]; }
  int64_t& operator[](int axis) { return dim[index(axis)]; }
  int index(int axis) const {
    if (axis >= rank || axis < -rank) [[unlikely]] fail(Exit::usage, "shape {}: there is no axis {}", str(), axis);
    return axis < 0 ? axis + rank : axis;
  }
  int64_t count() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= dim[i];
    return n;
  }
  /// Product of all axes but the last: the number of rows.
  int64_t rows() const { return rank == 0 ? 1 : Shape(std::span(dim.data(), size_t(rank - 1))).count(); }
  int64_t last() const { return rank == 0 ? 1 : dim[rank - 1]; }
  /// The same shape with another last axis.
  Shape with_last(int64_t n) const {
    Shape s = *this;
    s[-1] = n;
    return s;
  }
  bool operator==(const Shape& o) const {
    if (rank != o.rank) return false;
    for (int i = 0; i < rank; ++i)
      if (dim[i] != o.dim[i]) return false;
    return true;
  }
  std::string str() const {
    std::string s = "[";
    for (int i = 0; i < rank; ++i) s += (i ? ", " : "") + std::to_string(dim[i]);
    return s + "]";
  }
};

}  // namespace alinea

template <>
struct fmt::formatter<alinea::Shape> {
  constexpr auto parse(fmt::format_parse_context& c) { return c.begin(); }
  auto format(const alinea::Shape& s, fmt::format_context& c) const {
    const std::string text = s.str();
    return std::copy(text.begin(), text.end(), c.out());
  }
};
