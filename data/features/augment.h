// Changes to sound and features in training, each a pure function of a RandomKey, and normalisation per utterance.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/random.h"

namespace alinea {

/// Utterance CMVN: per bin, subtract the mean over the frames and divide by the standard deviation √max(E[x²] − mean², 1e-10).
/// features [frames, bins], in place.
void normalize_utterance(std::span<float> features, int64_t bins);

/// SpecAugment (Park et al., Interspeech 2019) without time warping, with fairseq's named policies. Each frequency mask covers
/// f ~ U{0 … freq_width − 1} bins from f0 ~ U{0 … bins − f − 1}; each time mask t ~ U{0 … min(time_width, ⌊time_share · frames⌋) − 1} frames.
struct SpecAugment {
  int64_t freq_masks = 2, freq_width = 27, time_masks = 2, time_width = 100;
  double time_share = 1.0;
  float value = 0;  // of masked cells: the mean of normalised features
  static SpecAugment lb() { return {1, 27, 1, 100, 1.0}; }
  static SpecAugment ld() { return {2, 27, 2, 100, 1.0}; }
  static SpecAugment sm() { return {2, 15, 2, 70, 0.2}; }
  static SpecAugment ss() { return {2, 27, 2, 70, 0.2}; }
  /// features [frames, bins], in place.
  void apply(std::span<float> features, int64_t bins, RandomKey key) const;
};

/// Speed ~ U[low, high] (linear interpolation: duration divides by it, pitch rises with it); `factor` gets it if not null.
std::vector<float> perturb_speed(std::span<const float> samples, double low, double high, RandomKey key, double* factor = nullptr);

/// Gain ~ U[−decibels, +decibels], in place.
void perturb_gain(std::span<float> samples, double decibels, RandomKey key);

}  // namespace alinea
