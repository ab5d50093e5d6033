// IEEE half precision, a format of files only: it is widened to f32 when read.
#pragma once
#include <bit>
#include <cstdint>

namespace alinea {

inline float float_of_half(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
  if (exponent == 0) return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(float(mantissa) * 0x1p-24f));
  return std::bit_cast<float>(sign | (exponent == 31 ? 0x7F800000u : (exponent + 112) << 23) | mantissa << 13);
}

/// Rounded to nearest, ties to even; values past 65504 (after rounding) become infinite, a NaN stays one.
inline uint16_t half_of_float(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), magnitude = bits & 0x7FFFFFFF;
  const uint16_t sign = uint16_t(bits >> 16 & 0x8000);
  if (magnitude > 0x7F800000) return uint16_t(sign | 0x7E00);
  if (magnitude >= 0x477FF000) return uint16_t(sign | 0x7C00);             // 65520 and more
  if (magnitude < 0x38800000) {                                             // subnormal: a multiple of 2^-24, rounded by the adder
    const float scaled = std::bit_cast<float>(magnitude) + 0.5f;            // the unit of the last place of 0.5 is 2^-24
    return uint16_t(sign | (std::bit_cast<uint32_t>(scaled) - std::bit_cast<uint32_t>(0.5f)));
  }
  const uint32_t rounded = magnitude + 0xFFF + (magnitude >> 13 & 1);
  return uint16_t(sign | ((rounded >> 13) - (112u << 10)));
}

}  // namespace alinea
