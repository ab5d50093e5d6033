// Tape wrappers of the latency of an alignment.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/latency.h"

namespace alinea {

/// Expected delays [B, H, T] of alpha [B, H, T, S], in columns.
inline Variable expected_delay(const Variable& alpha, std::vector<int32_t> source_lengths = {}) {
  return Tape::apply(ExpectedDelay{std::move(source_lengths)}, "expected_delay", alpha);
}
/// Average lagging [B, H] of delays [B, H, T], in columns.
inline Variable average_lagging(const Variable& delay, std::vector<int32_t> source_lengths, std::vector<int32_t> target_lengths = {}, bool average = true) {
  return Tape::apply(AverageLagging{std::move(source_lengths), std::move(target_lengths), average}, "average_lagging", delay);
}
inline Variable differentiable_average_lagging(const Variable& delay, std::vector<int32_t> source_lengths, std::vector<int32_t> target_lengths = {}) {
  return Tape::apply(DifferentiableAverageLagging{std::move(source_lengths), std::move(target_lengths)}, "differentiable_average_lagging", delay);
}
/// Mean variance [B, H] of the rows of alpha [B, H, T, S], in columns².
inline Variable alignment_variance(const Variable& alpha, std::vector<int32_t> source_lengths = {}, std::vector<int32_t> target_lengths = {}) {
  return Tape::apply(AlignmentVariance{std::move(source_lengths), std::move(target_lengths)}, "alignment_variance", alpha);
}
/// One value [B] of values [B, N].
inline Variable head_pool(const Variable& values, HeadPooling method) { return Tape::apply(HeadPool{method}, "head_pool", values); }

}  // namespace alinea
