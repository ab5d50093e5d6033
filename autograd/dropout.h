// Tape wrapper of dropout.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/dropout.h"

namespace alinea {

/// Call it in training only. One key per place and step: key.child("ffn").child(step).
inline Variable dropout(const Variable& x, double p, RandomKey key, uint64_t offset = 0) {
  return p == 0 ? x : Tape::apply(Dropout{p, key, offset}, "dropout", x);
}

}  // namespace alinea
