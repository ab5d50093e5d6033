// Tape wrapper of the contrastive loss.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/contrastive_loss.h"

namespace alinea {

/// loss []: states and targets [B, T, P], negatives i64 [B, T, K], mask u8 [B, T].
inline Variable contrastive_loss(const Variable& states, const Variable& targets, const Tensor& negatives, const Tensor& mask, double temperature) {
  return Tape::apply(ContrastiveLoss{temperature}, "contrastive_loss", states, targets, negatives, mask);
}

}  // namespace alinea
