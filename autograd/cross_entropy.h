// Tape wrapper of the cross-entropy.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/cross_entropy.h"

namespace alinea {

/// loss []; logits [..., V], target i64 or i32 [...]. Options: {.smoothing = 0.1, .ignore_index = pad, .reduction = Reduction::sum, …}.
inline Variable cross_entropy(const Variable& logits, const Tensor& target, const CrossEntropy& options = {}) {
  return Tape::apply(options, "cross_entropy", logits, target);
}

}  // namespace alinea
