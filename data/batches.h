// Batch plans: which examples go together and in which order, as pure functions of lengths, budget and key (one key per epoch).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/random.h"

namespace alinea {

using Plan = std::vector<std::vector<int64_t>>;

/// Batches of exactly `batch_size`: shuffle, sort by length inside runs of 16 batches, shuffle the batches; the last, short batch is
/// dropped. Throws Error{data} if there are fewer examples than one batch.
Plan plan_fixed(std::span<const int64_t> lengths, int64_t batch_size, RandomKey key);

/// Batches of as many examples of like length as fit in `max_frames`, padding included (examples · longest): each example once, none
/// dropped. Throws Error{data} for an example longer than the budget.
Plan plan_batches(std::span<const int64_t> lengths, int64_t max_frames, RandomKey key);

/// Every example once, in order, `batch_size` at a time, the last batch as it is: for evaluation.
Plan plan_in_order(int64_t examples, int64_t batch_size);

}  // namespace alinea
