#include "apps/report/encode.h"

#include <algorithm>
#include <cmath>

namespace alinea {
namespace {

void put(std::string& out, uint32_t value, int bytes) {  // little endian
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

}  // namespace

std::string base64(std::string_view bytes) {
  static constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? static_cast<uint8_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out.push_back(k <= count ? letters[group >> (18 - 6 * k) & 63] : '=');
  }
  return out;
}

std::string wav_bytes(std::span<const float> samples, int rate) {
  const auto bytes = static_cast<uint32_t>(samples.size() * 2);
  std::string out = "RIFF";
  out.reserve(44 + bytes);
  put(out, 36 + bytes, 4);
  out += "WAVEfmt ";
  put(out, 16, 4);
  put(out, 1, 2);  // PCM
  put(out, 1, 2);  // mono
  put(out, static_cast<uint32_t>(rate), 4);
  put(out, static_cast<uint32_t>(rate) * 2, 4);
  put(out, 2, 2);
  put(out, 16, 2);
  out += "data";
  put(out, bytes, 4);
  for (float s : samples) put(out, static_cast<uint16_t>(std::lrint(std::clamp(s, -1.0f, 1.0f) * 32767.0f)), 2);
  return out;
}

Quantised quantise(std::span<const float> values, double low, double high) {
  Quantised out{{}, low, high};
  out.bytes.reserve(values.size());
  const double scale = high > low ? 255.0 / (high - low) : 0.0;
  for (float v : values) out.bytes.push_back(static_cast<char>(std::lrint(std::clamp((v - low) * scale, 0.0, 255.0))));
  return out;
}

double quantile(std::span<const float> values, double share) {
  if (values.empty()) return 0;
  std::vector<float> sorted(values.begin(), values.end());
  const auto at = sorted.begin() + std::lrint(share * static_cast<double>(sorted.size() - 1));
  std::nth_element(sorted.begin(), at, sorted.end());
  return *at;
}

Curve thin(const Curve& curve, int64_t most) {
  const auto n = static_cast<int64_t>(curve.x.size());
  if (n <= most || most < 4) return curve;
  Curve out{curve.name, {}, {}};
  auto keep = [&](int64_t i) {
    out.x.push_back(curve.x[i]);
    out.y.push_back(curve.y[i]);
  };
  const int64_t stretches = most / 2;
  keep(0);
  for (int64_t s = 0; s < stretches; ++s) {
    const int64_t begin = 1 + s * (n - 2) / stretches, end = 1 + (s + 1) * (n - 2) / stretches;
    int64_t low = -1, high = -1, gap = -1;
    for (int64_t i = begin; i < end; ++i) {
      if (!std::isfinite(curve.y[i]))
        gap = i;
      else if (low < 0)
        low = high = i;
      else if (curve.y[i] < curve.y[low])
        low = i;
      else if (curve.y[i] > curve.y[high])
        high = i;
    }
    int64_t kept[] = {low, high, gap};
    std::sort(std::begin(kept), std::end(kept));
    for (int k = 0; k < 3; ++k)
      if (kept[k] >= 0 && (k == 0 || kept[k] != kept[k - 1])) keep(kept[k]);
  }
  keep(n - 1);
  return out;
}

}  // namespace alinea
