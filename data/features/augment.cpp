#include "data/features/augment.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"

namespace alinea {

void normalize_utterance(std::span<float> features, int64_t bins) {
  require(bins > 0 && int64_t(features.size()) % bins == 0, "CMVN: {} values are no whole number of frames of {} bins", features.size(), bins);
  const int64_t frames = int64_t(features.size()) / bins;
  if (frames == 0) return;
  for (int64_t b = 0; b < bins; ++b) {
    double sum = 0, squares = 0;
    for (int64_t t = 0; t < frames; ++t) sum += features[t * bins + b], squares += double(features[t * bins + b]) * features[t * bins + b];
    const double mean = sum / double(frames), scale = 1 / std::sqrt(std::max(squares / double(frames) - mean * mean, 1e-10));
    for (int64_t t = 0; t < frames; ++t) features[t * bins + b] = float((features[t * bins + b] - mean) * scale);
  }
}

void SpecAugment::apply(std::span<float> features, int64_t bins, RandomKey key) const {
  require(freq_width >= 1 && freq_width <= bins, "SpecAugment: frequency masks up to {} of {} bins; expected 1 … {}", freq_width, bins, bins);
  const int64_t frames = int64_t(features.size()) / bins;
  Draw random(key.child("spec_augment"));
  for (int64_t m = 0; m < freq_masks; ++m) {
    const int64_t width = random.integer(0, freq_width - 1), first = random.integer(0, bins - width - 1);
    for (int64_t t = 0; t < frames; ++t) std::fill_n(features.begin() + t * bins + first, width, value);
  }
  const int64_t most = std::min(time_width, int64_t(time_share * double(frames)));
  if (most < 1) return;
  for (int64_t m = 0; m < time_masks; ++m) {
    const int64_t width = random.integer(0, most - 1), first = random.integer(0, frames - width - 1);
    std::fill_n(features.begin() + first * bins, width * bins, value);
  }
}

std::vector<float> perturb_speed(std::span<const float> samples, double low, double high, RandomKey key, double* factor) {
  require(low > 0 && low <= high, "speed perturbation from {} to {}; expected 0 < low ≤ high", low, high);
  const double speed = Draw(key.child("speed")).uniform(low, high);
  if (factor) *factor = speed;
  if (samples.size() < 2) return {samples.begin(), samples.end()};
  std::vector<float> out(size_t(std::ceil(double(samples.size() - 1) / speed)));
  for (size_t i = 0; i < out.size(); ++i) {
    const double t = double(i) * speed;
    const size_t whole = size_t(t);
    out[i] = samples[whole] + float(t - double(whole)) * (samples[whole + 1] - samples[whole]);
  }
  return out;
}

void perturb_gain(std::span<float> samples, double decibels, RandomKey key) {
  require(decibels >= 0, "gain perturbation of ±{} dB; expected 0 or more", decibels);
  const float gain = float(std::pow(10.0, Draw(key.child("gain")).uniform(-decibels, decibels) / 20));
  for (float& x : samples) x *= gain;
}

}  // namespace alinea
