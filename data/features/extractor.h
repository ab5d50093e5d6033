// What transformers' feature extractors make of sound, from the settings of preprocessor_config.json.
//
//   Wav2Vec2FeatureExtractor       x ← (x − mean) / √(variance + 1e-7), or the samples as they are
//   Speech2TextFeatureExtractor    log-mel filter bank; per bin, y ← (y − mean) / √variance, or one of the two
//
// Each works on a whole batch: rows are cut, padded at their end, then normalised. Where the extractor gives a mask, the statistics are those of
// the unpadded part and the padding is `padding_value`; where it gives none (wav2vec 2.0 base), the padded row is normalised with its padding.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/features/log_mel.h"

namespace alinea {

struct FeatureBatch {
  int64_t rows = 0, length = 0, width = 1;   // samples (width 1) or frames of `width` bins
  std::vector<float> values;                 // [rows, length, width]
  std::vector<int32_t> lengths;              // of the rows without padding: the mask; empty when the extractor gives no mask
};

/// Rows are as long as the longest, or as `length`. Longer ones are cut to it with `cut`, else refused.
struct FeaturePadding {
  std::optional<int64_t> length;
  bool cut = false;
};

struct FeatureExtractor {
  std::string kind = "Wav2Vec2FeatureExtractor";
  int rate = 16000;
  double padding_value = 0;
  bool return_attention_mask = true;  // always, of filter banks
  bool do_normalize = true;           // of samples
  bool normalize_means = true, normalize_variances = true;  // of filter banks
  int bins = 80;
  std::string others = "{}";          // JSON: the settings of the file, those that mean nothing here among them

  /// From preprocessor_config.json, or the "feature_extractor" of processor_config.json. Error{data} for a missing file, another extractor, or
  /// settings that are not those above (dither, padding on the left).
  static FeatureExtractor open(const std::filesystem::path& directory);
  /// Writes preprocessor_config.json as transformers reads it, with the settings that open() found and did not need.
  void save(const std::filesystem::path& directory) const;

  bool makes_filter_banks() const { return kind == "Speech2TextFeatureExtractor"; }
  /// Sound of `rate`, in ±1. Error{data} for a row without samples, or too short for one frame of filter banks.
  FeatureBatch operator()(std::span<const std::vector<float>> sounds, const FeaturePadding& padding = {}) const;
};

}  // namespace alinea
