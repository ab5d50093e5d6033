// Tape wrappers of monotonic attention.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/monotonic.h"

namespace alinea {

/// α of the policy logits z [B, H, T, S].
inline Variable monotonic_alpha(const Variable& z, std::vector<int32_t> source_lengths = {}) {
  return Tape::apply(MonotonicAlpha{std::move(source_lengths)}, "monotonic_alpha", z);
}
/// β, infinite lookback, of alpha [B, H or 1, T, ceil(S/ratio)] and energies u [B, H, T, S].
inline Variable lookback_beta(const Variable& alpha, const Variable& u, std::vector<int32_t> source_lengths = {}, int64_t ratio = 1) {
  return Tape::apply(LookbackBeta{std::move(source_lengths), ratio}, "lookback_beta", alpha, u);
}
/// β over the last `width` columns (MoChA).
inline Variable chunk_beta(const Variable& alpha, const Variable& u, int64_t width, std::vector<int32_t> source_lengths = {}, int64_t ratio = 1) {
  return Tape::apply(ChunkBeta{std::move(source_lengths), width, ratio}, "chunk_beta", alpha, u);
}

}  // namespace alinea
