// Compact forms of numbers inside a web page: base64, WAV, bytes for heat maps, thinned curves.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/report/report.h"

namespace alinea {

/// RFC 4648, with padding.
std::string base64(std::string_view bytes);

/// 16-bit mono PCM in a RIFF/WAVE container.
std::string wav_bytes(std::span<const float> samples, int rate);

/// Bytes b with value ≈ low + b / 255 · (high − low); values outside [low, high] take the nearer end.
struct Quantised {
  std::string bytes;
  double low, high;
};
Quantised quantise(std::span<const float> values, double low, double high);

/// The value below which `share` of the values lie (0: the smallest, 1: the largest).
double quantile(std::span<const float> values, double share);

/// At most about `most` points: the lowest and the highest of every stretch of equal length, first and last kept. Gaps (not finite) survive
/// as one point.
Curve thin(const Curve& curve, int64_t most);

}  // namespace alinea
