#include "apps/batch_stream.h"

namespace alinea {

BatchStream::BatchStream(const SpeechDataset& data, int64_t batch, RandomKey key, int64_t first_batch, double ms_per_state, int64_t padding)
    : data_(data), batch_(batch), number_(first_batch), padding_(padding), key_(key), ms_per_state_(ms_per_state) {
  require_data(data.size() >= batch, "train: {} sentences are fewer than one batch of {}; lower batch", data.size(), batch);
  prefetcher_ = std::make_unique<Prefetcher<HostBatch>>([this] { return load(number_++); }, 4);
}

HostBatch BatchStream::load(int64_t number) {
  const int64_t per_epoch = data_.size() / batch_, epoch = number / per_epoch;
  if (epoch != epoch_) {
    std::vector<int64_t> lengths(static_cast<size_t>(data_.size()));
    for (size_t i = 0; i < lengths.size(); ++i) lengths[i] = data_.length(int64_t(i));
    plan_ = plan_fixed(lengths, batch_, key_.child(uint64_t(epoch)));
    epoch_ = epoch;
  }
  return data_.collate(plan_[size_t(number % per_epoch)], key_.child("augment").child(uint64_t(number)), ms_per_state_, padding_);
}

}  // namespace alinea
