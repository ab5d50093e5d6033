// Batch plans: which examples go together and in which order, as pure functions of lengths, budget and key (one key per epoch).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/random.h"

namespace alinea {

/// Which batches of a run one process learns from: numbers first, first + stride, …
struct BatchNumbers {
  int64_t first = 0, stride = 1;
  int64_t operator[](int64_t i) const { return first + i * stride; }
};

using Plan = std::vector<std::vector<int64_t>>;

/// Batches of exactly `batch_size`: shuffle, sort by length inside runs of 16 batches, shuffle the batches; the last, short batch is
/// dropped. Throws Error{data} if there are fewer examples than one batch.
Plan plan_fixed(std::span<const int64_t> lengths, int64_t batch_size, RandomKey key);

/// Batches of as many examples of like length as fit in `max_frames`, padding included (examples · longest): each example once, none
/// dropped. Throws Error{data} for an example longer than the budget.
Plan plan_batches(std::span<const int64_t> lengths, int64_t max_frames, RandomKey key);

/// Every example once, in order, `batch_size` at a time, the last batch as it is: for evaluation.
Plan plan_in_order(int64_t examples, int64_t batch_size);

/// How large a training batch is: so many sentences (plan_fixed), or, if tokens > 0, sentences · longest up to so many (plan_batches).
struct BatchSize {
  int64_t sentences = 16, tokens = 0;
};

/// The batches of a whole run, epoch after epoch. Batch number n is a pure function of (lengths, size, key, n), so a resumed run continues
/// with the batch that it would have seen. Not to be shared between threads.
class BatchOrder {
 public:
  BatchOrder(std::vector<int64_t> lengths, const BatchSize& size, RandomKey key);
  const std::vector<int64_t>& batch(int64_t number);
  int64_t per_epoch() const { return int64_t(plan_.size()); }

 private:
  Plan plan(int64_t epoch) const;
  std::vector<int64_t> lengths_;
  BatchSize size_;
  RandomKey key_;
  int64_t epoch_ = 0;
  Plan plan_;                                                 // of epoch_; every epoch has as many batches
};

}  // namespace alinea
