// Tape wrappers of the product quantizer.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/codebook.h"

namespace alinea {

/// y [..., G E]: one vector of each codebook [1, G V, E], by logits [..., G V]; noise may be none.
inline Variable codebook(const Variable& logits, const Variable& codevectors, const Tensor& noise, const Codebook& op) {
  return Tape::apply(op, "codebook", logits, codevectors, noise);
}
/// How many entries the codebooks use, over the rows that mask u8 [...] names.
inline Variable code_perplexity(const Variable& logits, const Tensor& mask, const CodePerplexity& op) {
  return Tape::apply(op, "code_perplexity", logits, mask);
}

}  // namespace alinea
