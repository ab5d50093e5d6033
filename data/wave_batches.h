// The training batches of raw speech of a whole run, loaded ahead on a thread.
#pragma once
#include <memory>
#include <optional>

#include "data/batches.h"
#include "data/dataset.h"
#include "data/wave_dataset.h"

namespace alinea {

class WaveBatches {
 public:
  /// Utterances of like length, as many as fit into `seconds` with their padding. Each epoch every utterance once, in batches and cut at
  /// places drawn by (key, epoch). Throws Error{data} for an utterance longer than `seconds`. The dataset must outlive this.
  WaveBatches(const WaveDataset& dataset, double seconds, RandomKey key);

  /// These batches of the run come next; batch n is a pure function of (dataset, seconds, key, n).
  void start(BatchNumbers numbers);
  HostWaves next();
  int64_t per_epoch() const { return order_.per_epoch(); }

 private:
  const WaveDataset& dataset_;
  RandomKey key_;
  BatchOrder order_;  // before ahead_: its thread reads the order
  std::optional<Prefetcher<HostWaves>> ahead_;
};

}  // namespace alinea
