// The batches of a whole run in order, loaded ahead by one background thread. Batch number n is a pure function of (data, batch size, seed,
// n), so a resumed run continues with the batch that it would have seen.
#pragma once
#include <memory>

#include "data/dataset.h"

namespace alinea {

class BatchStream {
 public:
  BatchStream(const SpeechDataset& data, int64_t batch, RandomKey key, int64_t first_batch, const CollateOptions& options);
  HostBatch next() { return *prefetcher_->next(); }

 private:
  HostBatch load(int64_t number);
  const SpeechDataset& data_;
  int64_t batch_;
  RandomKey key_;
  CollateOptions options_;
  int64_t epoch_ = -1;
  Plan plan_;
  std::unique_ptr<Prefetcher<HostBatch>> prefetcher_;
};

}  // namespace alinea
