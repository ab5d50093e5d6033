#include "data/wave_batches.h"

#include <limits>

#include "engine/core/error.h"

namespace alinea {

WaveBatches::WaveBatches(const WaveDataset& dataset, double seconds, RandomKey key)
    : dataset_(dataset), key_(key), order_(dataset.lengths(), BatchSize{.tokens = int64_t(seconds * wave_rate)}, key.child("order")) {}

void WaveBatches::start(BatchNumbers numbers) {
  ahead_.reset();
  ahead_.emplace(std::numeric_limits<int64_t>::max(), [this, numbers](int64_t i) {
    const int64_t number = numbers[i], epoch = number / order_.per_epoch();
    return load_waves(dataset_, order_.batch(number), key_.child("crop").child(uint64_t(epoch)));
  });
}

HostWaves WaveBatches::next() {
  require(ahead_.has_value(), "waves: next() before start()");
  return std::move(*ahead_->next());
}

}  // namespace alinea
