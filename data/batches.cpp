#include "data/batches.h"

#include <algorithm>
#include <numeric>

#include "engine/core/error.h"

namespace alinea {
namespace {

std::vector<int64_t> shuffled(int64_t count, RandomKey key) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  Draw(key).shuffle(order);
  return order;
}

/// Stable, so that examples of equal length keep their shuffled order.
template <class It>
void sort_by_length(It begin, It end, std::span<const int64_t> lengths) {
  std::stable_sort(begin, end, [&](int64_t a, int64_t b) { return lengths[a] < lengths[b]; });
}

}  // namespace

Plan plan_fixed(std::span<const int64_t> lengths, int64_t batch_size, RandomKey key) {
  const int64_t count = int64_t(lengths.size());
  require(batch_size >= 1, "batches of {} examples; expected 1 or more", batch_size);
  require_data(count >= batch_size, "{} examples are fewer than one batch of {}; lower the batch size or add data", count, batch_size);
  auto order = shuffled(count, key.child("examples"));
  const int64_t run = batch_size * 16;
  for (int64_t at = 0; at < count; at += run) sort_by_length(order.begin() + at, order.begin() + std::min(count, at + run), lengths);
  Plan plan;
  for (int64_t at = 0; at + batch_size <= count; at += batch_size) plan.emplace_back(order.begin() + at, order.begin() + at + batch_size);
  Draw(key.child("batches")).shuffle(plan);
  return plan;
}

Plan plan_batches(std::span<const int64_t> lengths, int64_t max_frames, RandomKey key) {
  auto order = shuffled(int64_t(lengths.size()), key.child("examples"));
  sort_by_length(order.begin(), order.end(), lengths);
  Plan plan;
  for (const int64_t i : order) {
    require_data(lengths[i] <= max_frames, "example {} has {} frames or tokens, more than the budget of {} in a batch; raise the budget or leave it out", i,
                 lengths[i], max_frames);
    // In order of length, so the newcomer is the longest of its batch.
    if (plan.empty() || int64_t(plan.back().size() + 1) * lengths[i] > max_frames) plan.emplace_back();
    plan.back().push_back(i);
  }
  Draw(key.child("batches")).shuffle(plan);
  return plan;
}

Plan plan_in_order(int64_t examples, int64_t batch_size) {
  require(batch_size >= 1, "batches of {} examples; expected 1 or more", batch_size);
  Plan plan;
  for (int64_t i = 0; i < examples; ++i) {
    if (i % batch_size == 0) plan.emplace_back();
    plan.back().push_back(i);
  }
  return plan;
}

BatchOrder::BatchOrder(std::vector<int64_t> lengths, const BatchSize& size, RandomKey key) : lengths_(std::move(lengths)), size_(size), key_(key), plan_(plan(0)) {}

Plan BatchOrder::plan(int64_t epoch) const {
  const RandomKey key = key_.child(uint64_t(epoch));
  return size_.tokens > 0 ? plan_batches(lengths_, size_.tokens, key) : plan_fixed(lengths_, size_.sentences, key);
}

const std::vector<int64_t>& BatchOrder::batch(int64_t number) {
  const int64_t epoch = number / per_epoch();
  if (epoch != epoch_) {
    plan_ = plan(epoch);
    epoch_ = epoch;
  }
  return plan_[size_t(number % per_epoch())];
}

}  // namespace alinea
