// What a search is told about the next token beyond the model's scores: Hugging Face's logits processors, in their order.
//   repetition_penalty p      a token that occurred before: score · p below zero, score / p above
//   no_repeat_ngram_size n    a token that would repeat n tokens of the sequence, start token included: −inf
//   min_length                end tokens before it: −inf
//   forced_bos, forced_eos    in second and in last place: 0 for the forced tokens, −inf for all others
// A rule changes few tokens of a row or forces one, so a search asks which and never rewrites the row. Nothing is normalised again.
#pragma once
#include <limits>
#include <span>

#include "models/generation_config.h"

namespace alinea {

class TokenRules {
 public:
  explicit TokenRules(const GenerationConfig& config) : config_(config) {}

  /// The only tokens that may come at place `length` (the number of tokens before it); none: any.
  std::span<const int64_t> forced(int64_t length) const;

  /// A token whose score the rules change.
  struct Change {
    int32_t token;
    bool banned;                                            // else it is penalised
  };
  /// Of the token after `sequence`, ascending.
  std::vector<Change> changes(std::span<const int32_t> sequence) const;
  double changed(const Change& change, double score) const {
    if (change.banned) return -std::numeric_limits<double>::infinity();
    return score < 0 ? score * config_.repetition_penalty : score / config_.repetition_penalty;
  }
  bool ends(int32_t token) const;

 private:
  const GenerationConfig& config_;
};

}  // namespace alinea
