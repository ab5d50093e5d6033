// Element types. bf16 is for storage: it is converted to f32 before arithmetic.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <string_view>

#include "engine/core/error.h"

namespace alinea {

enum class DType : uint8_t { f32, f64, bf16, i32, i64, u8 };

/// The upper half of an IEEE single, rounded to nearest even.
struct bf16 {
  uint16_t bits = 0;
  constexpr bf16() = default;
  constexpr explicit bf16(float x) {                        // constexpr also lets GPU code call it
    const uint32_t u = std::bit_cast<uint32_t>(x);
    bits = (x != x) ? uint16_t(u >> 16 | 64) : uint16_t((u + 0x7FFF + (u >> 16 & 1)) >> 16);
  }
  constexpr operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
};

template <class T>
constexpr DType dtype_of = [] {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  else if constexpr (std::is_same_v<T, double>) return DType::f64;
  else if constexpr (std::is_same_v<T, bf16>) return DType::bf16;
  else if constexpr (std::is_same_v<T, int32_t>) return DType::i32;
  else if constexpr (std::is_same_v<T, int64_t>) return DType::i64;
  else return DType::u8;
}();

constexpr int64_t bytes_of(DType d) {
  switch (d) {
    case DType::f64: case DType::i64: return 8;
    case DType::f32: case DType::i32: return 4;
    case DType::bf16: return 2;
    case DType::u8: return 1;
  }
  return 0;
}

constexpr std::string_view name_of(DType d) {
  constexpr std::string_view names[] = {"f32", "f64", "bf16", "i32", "i64", "u8"};
  return names[int(d)];
}

/// Calls f.operator()<T>() with the C++ type of a floating dtype; others are refused in the name of the op.
template <class F>
decltype(auto) with_float(DType d, std::string_view op, F&& f) {
  if (d == DType::f32) return f.template operator()<float>();
  if (d == DType::f64) return f.template operator()<double>();
  fail(Exit::usage, "{}: computes in f32 or f64, the tensor is {}; convert it with to(DType::f32)", op, name_of(d));
}

/// Calls f.operator()<T>() with the C++ type of any dtype.
template <class F>
decltype(auto) with_any(DType d, F&& f) {
  switch (d) {
    case DType::f32: return f.template operator()<float>();
    case DType::f64: return f.template operator()<double>();
    case DType::bf16: return f.template operator()<bf16>();
    case DType::i32: return f.template operator()<int32_t>();
    case DType::i64: return f.template operator()<int64_t>();
    case DType::u8: return f.template operator()<uint8_t>();
  }
  fail(Exit::usage, "unknown dtype {}", int(d));
}

}  // namespace alinea

template <>
struct fmt::formatter<alinea::DType> {
  constexpr auto parse(fmt::format_parse_context& c) { return c.begin(); }
  auto format(alinea::DType d, fmt::format_context& c) const {
    const std::string_view text = alinea::name_of(d);
    return std::copy(text.begin(), text.end(), c.out());
  }
};
