// Tape wrappers of structured attention and of its literal form.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/literal_attention.h"
#include "engine/ops/structured_attention.h"

namespace alinea {

/// y [B, H, T, D]; band_bias [H, 2 w + 1] and column_bias [H] may be none.
inline Variable structured_attention(const Variable& q, const Variable& k, const Variable& v, const Variable& band_bias, const Variable& column_bias,
                                     const StructuredAttention& op) {
  return Tape::apply(op, "structured_attention", q, k, v, band_bias, column_bias);
}

/// y [B, H, T, D] = (P + E) v; column_logits [H] and residual [H, n] may be none.
inline Variable literal_attention(const Variable& v, const Variable& band_logits, const Variable& column_logits, const Variable& residual, const LiteralAttention& op) {
  return Tape::apply(op, "literal", v, band_logits, column_logits, residual);
}

}  // namespace alinea
