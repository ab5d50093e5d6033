// What training on raw speech is told about its data, whatever the stage.
#pragma once
#include "data/wave_dataset.h"
#include "engine/core/config.h"
#include "engine/core/error.h"

namespace alinea {

struct WaveConfig {
  double batch_seconds = 40, min_seconds = 0.3, max_seconds = 20;
  int64_t utterances = 0;

  void fields(Config& c) {
    c.field("batch_seconds", batch_seconds, "seconds of sound in a batch, padding included; takes the place of `batch`");
    c.field("min_seconds", min_seconds, "shorter utterances are left out");
    c.field("max_seconds", max_seconds, "longer utterances are left out (ctc) or cut, anew in each epoch (pretrain)");
    c.field("utterances", utterances, "learn from so many utterances, drawn by the seed; 0: all");
  }
  void check() const {
    require(min_seconds > 0 && min_seconds < max_seconds && max_seconds <= batch_seconds && utterances >= 0,
            "train: waves needs 0 < min_seconds < max_seconds ≤ batch_seconds and utterances ≥ 0, not {}, {}, {} and {}", min_seconds,
            max_seconds, batch_seconds, utterances);
  }
  WaveSelection selection(bool crop, bool transcribed, int64_t seed, FeatureExtractor features) const {
    return {.min_seconds = min_seconds,
            .max_seconds = max_seconds,
            .crop = crop,
            .transcribed = transcribed,
            .utterances = utterances,
            .key = RandomKey{uint64_t(seed)}.child("utterances"),
            .features = std::move(features)};
  }
  /// Of the dev set: all of what is as long.
  WaveSelection all(bool crop, bool transcribed, FeatureExtractor features) const {
    return WaveConfig{.min_seconds = min_seconds, .max_seconds = max_seconds}.selection(crop, transcribed, 0, std::move(features));
  }
};

}  // namespace alinea
