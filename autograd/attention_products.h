// Tape wrappers of the products around explicit attention weights.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/attention_products.h"

namespace alinea {

inline Variable attention_scores(const Variable& q, const Variable& k, double scale) { return Tape::apply(AttentionScores{scale}, "attention_scores", q, k); }
inline Variable attention_context(const Variable& w, const Variable& v) { return Tape::apply(AttentionContext{}, "attention_context", w, v); }

}  // namespace alinea
