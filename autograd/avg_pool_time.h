// Tape wrapper of the averages over time.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/avg_pool_time.h"

namespace alinea {

/// y [B, ⌈T / ratio⌉, C]: means over the real members of each window of x [B, T, C]; lengths may be empty.
inline Variable avg_pool_time(const Variable& x, std::vector<int32_t> lengths, int64_t ratio) {
  return Tape::apply(AvgPoolTime{ratio, std::move(lengths)}, "avg_pool_time", x);
}

}  // namespace alinea
