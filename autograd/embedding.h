// Tape wrapper of the embedding table.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/embedding.h"

namespace alinea {

/// scale · weight[ids], ids i64 of any shape.
inline Variable embedding(const Variable& weight, const Tensor& ids, int64_t padding_idx = -1, double scale = 1) {
  return Tape::apply(Embedding{padding_idx, scale}, "embedding", weight, ids);
}

}  // namespace alinea
