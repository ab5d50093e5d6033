// Speech for models that hear whole utterances: a prepared corpus as what a feature extractor makes of it (normalised samples for
// wav2vec 2.0, filter banks for Speech2Text) with the texts, and padded batches on the host. Manifests as in manifest.h; an empty tgt_text
// means that nobody wrote down what is said.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/features/extractor.h"
#include "data/manifest.h"
#include "engine/core/random.h"

namespace alinea {

constexpr int wave_rate = 16000;  // Hz

/// Which utterances of a split are used, and how much of each.
struct WaveSelection {
  double min_seconds = 0.1, max_seconds = 30;  // others are left out, or, with crop, longer ones are cut
  bool crop = false;                           // a longer utterance becomes a piece of max_seconds
  bool transcribed = false;                    // only utterances with a transcript
  int64_t utterances = 0;                      // so many of them, drawn by `key`; 0: all
  RandomKey key;
  FeatureExtractor features;                   // what the model hears; of sound at 16 kHz
};

class WaveDataset {
 public:
  /// Throws Error{data} for missing files, audio of another rate, and when nothing is left of the split.
  static WaveDataset open(const std::filesystem::path& folder, const std::string& split, const WaveSelection& selection);

  int64_t size() const { return int64_t(rows_.size()); }
  int64_t length(int64_t i) const { return lengths_[size_t(i)]; }  // samples, as loaded
  const std::vector<int64_t>& lengths() const { return lengths_; }
  const FeatureExtractor& features() const { return selection_.features; }
  const ManifestRow& row(int64_t i) const { return rows_[size_t(i)]; }
  int64_t left_out() const { return left_out_; }  // by duration

  /// Utterance i as the extractor gives it, normalised as a whole before it is cut. `crop`: where a longer one is cut, uniformly over its
  /// length; none: at the beginning. Safe for several threads.
  FeatureBatch load(int64_t i, std::optional<RandomKey> crop = std::nullopt) const;

 private:
  std::filesystem::path folder_;
  WaveSelection selection_;
  std::vector<ManifestRow> rows_;
  std::vector<int64_t> lengths_;
  int64_t left_out_ = 0;
};

/// B utterances side by side, short ones filled with zeros.
struct HostWaves {
  int64_t B = 0, N = 0, width = 1;  // N samples (width 1) or frames of `width` bins
  std::vector<float> values;        // [B, N, width]
  std::vector<int32_t> lengths;     // [B]
  bool masked = true;               // the model is told the lengths
  double seconds = 0;               // of sound, without padding
  std::vector<std::string> texts;   // [B]
  std::vector<int64_t> indices;     // in the dataset
  /// What the model is told: nothing where it was trained without a mask.
  std::vector<int32_t> visible() const { return masked ? lengths : std::vector<int32_t>(); }
};

/// A batch of one sound.
HostWaves one_sound(const FeatureExtractor& features, const std::vector<float>& samples);

/// Loads a batch of a plan. Utterance i is cut by crop.child(i): with a key per epoch, a pure function of (seed, epoch, i).
HostWaves load_waves(const WaveDataset& dataset, std::span<const int64_t> batch, std::optional<RandomKey> crop = std::nullopt);

}  // namespace alinea
