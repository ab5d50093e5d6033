// Tape wrapper of the CTC loss.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/ctc_loss.h"

namespace alinea {

/// loss [] or [B]; logits [B, T, V], target i64 or i32 [B, L]. The options hold the lengths: {.blank = 0, .input_lengths = …, .target_lengths = …}.
inline Variable ctc_loss(const Variable& logits, const Tensor& target, const CtcLoss& options) {
  return Tape::apply(options, "ctc_loss", logits, target);
}

}  // namespace alinea
