// 16-bit floats for storage (IEEE binary16), converted with integer operations that any compiler vectorises: no processor feature and no
// compiler type is needed. For finite values; rounding is to nearest, ties to even; beyond ±65504 becomes infinity.
#pragma once
#include <bit>
#include <cstdint>
#include <span>

namespace alinea {

inline uint16_t to_half(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), sign = bits & 0x80000000u, magnitude = bits ^ sign;
  // Normal range: move the exponent's bias from 127 to 15 and round 13 bits away. Below 2^−14: adding ½ leaves the rounded mantissa below.
  const uint32_t normal = (magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1)) >> 13;
  const uint32_t small = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3F000000u;
  const uint32_t value = magnitude >= 0x477FF000u ? 0x7C00u : magnitude < 0x38800000u ? small : normal;
  return uint16_t(value | sign >> 16);
}

inline float from_half(uint16_t h) {
  const float magnitude = std::bit_cast<float>(uint32_t(h & 0x7FFF) << 13) * 0x1p112f;  // exact, subnormal numbers too
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | uint32_t(h & 0x8000) << 16);
}

inline void to_half(std::span<const float> from, uint16_t* to) {
  for (size_t i = 0; i < from.size(); ++i) to[i] = to_half(from[i]);
}
inline void from_half(std::span<const uint16_t> from, float* to) {
  for (size_t i = 0; i < from.size(); ++i) to[i] = from_half(from[i]);
}

}  // namespace alinea
