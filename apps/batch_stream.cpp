#include "apps/batch_stream.h"

#include <limits>

#include "engine/core/error.h"

namespace alinea {

BatchStream::BatchStream(const SpeechDataset& data, int64_t batch, RandomKey key, int64_t first_batch, const CollateOptions& options)
    : data_(data), batch_(batch), key_(key), options_(options) {
  require_data(data.size() >= batch, "train: {} sentences are fewer than one batch of {}; lower batch", data.size(), batch);
  prefetcher_ = std::make_unique<Prefetcher<HostBatch>>(std::numeric_limits<int64_t>::max(), [this, first_batch](int64_t i) { return load(first_batch + i); });
}

HostBatch BatchStream::load(int64_t number) {
  const int64_t per_epoch = data_.size() / batch_, epoch = number / per_epoch;
  if (epoch != epoch_) {
    plan_ = plan_fixed(data_.lengths(), batch_, key_.child(uint64_t(epoch)));
    epoch_ = epoch;
  }
  return load_batch(data_, plan_[size_t(number % per_epoch)], key_.child("augment").child(uint64_t(number)), options_);
}

}  // namespace alinea
