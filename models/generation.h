// Decoding with any model that gives the logits of the next token: greedy and beam search over a batch of sentences, with the results of
// Hugging Face's generate() (its _sample without sampling, and _beam_search).
//
// Beam search with K = num_beams beams and E end tokens:
//   a beam's score is Σ log p of its tokens, as the rules of models/token_rules.h leave them; a step takes the best max(2, 1 + E)·K of the
//   K·V continuations of a sentence. One that ends the sentence is finished if it is among the best K, and is worth
//   Σ log p / length^length_penalty, the length counting the end but not the start token; the best K others go on.
//   The K best finished ones are kept. A sentence is done when it has K of them and EarlyStopping allows it. When sequences have their
//   longest length, the best K continuations count as finished.
// Sentences that are done leave the batch: those that go on do not wait for them, and nothing is computed for them any more.
#pragma once
#include "engine/core/tensor.h"
#include "models/generation_config.h"

namespace alinea {

/// A model in the midst of decoding, one row per hypothesis; the beams of a sentence follow one another.
class StepDecoder {
 public:
  virtual ~StepDecoder() = default;
  /// last i64 [rows], on the host: the newest token of each row (at first the start token) -> logits [rows, V] of the next, which the search may change.
  virtual Tensor step(const Tensor& last) = 0;
  /// From now on there are rows.size() rows, and row r continues what row rows[r] has written. Rows stay within their sentence;
  /// sentences that are done leave with all their rows. Not called when nothing moves.
  virtual void reorder(std::span<const int32_t> rows) = 0;
};

struct Generation {
  std::vector<std::vector<int32_t>> sequences;              // num_return_sequences for each sentence, best first; start token … end token, padded to one length
  std::vector<double> scores;                               // of beam search: what each sequence is worth
  std::vector<int64_t> end_tokens;
  /// Sequence i without the start token, the first end token and what follows.
  std::vector<int32_t> tokens(size_t i) const;
};

/// The decoder has batch · num_beams rows. The start, end and pad tokens must be set.
Generation generate(StepDecoder& decoder, int64_t batch, const GenerationConfig& config);

}  // namespace alinea
