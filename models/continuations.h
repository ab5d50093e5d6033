// The tokens that may follow each of several sequences, best first.
#pragma once
#include "engine/core/tensor.h"
#include "models/token_rules.h"

namespace alinea {

struct Continuation {
  double score;                                             // log probability, or the logit itself, as the rules leave it
  int32_t token;
};

/// The `count` best continuations of each sequence by logits [rows, V]: fewer where the rules leave fewer. The logits are read once, by
/// several threads; their log-sum-exp comes from the same pass. They are spoilt: changed tokens are taken out of them.
std::vector<std::vector<Continuation>> continuations(const Tensor& logits, std::span<const std::vector<int32_t>> sequences, const TokenRules& rules, int64_t count,
                                                     bool log_probabilities);

}  // namespace alinea
