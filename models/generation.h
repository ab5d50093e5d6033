// Decoding with any model that gives the logits of the next token: greedy and beam search over a batch of sentences.
//
// Beam search with K beams, as Hugging Face's generate() does it (fairseq's differs only in when it stops: early_stopping = true):
//   a beam's score is Σ log p of its tokens; each step takes the best 2K of the K·V continuations of a sentence;
//   a continuation that ends the sentence is finished if it is among the best K, and is worth Σ log p / length^length_penalty, the length
//   counting the end token; the best K others go on. The finished ones kept are the K best.
//   A sentence is done when it has K finished ones and, unless early_stopping, none that goes on would be worth more than the worst of
//   them if it ended now. After max_tokens steps the best K continuations count as finished.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/config.h"
#include "engine/core/tensor.h"

namespace alinea {

struct GenerationOptions {
  int64_t beam = 1, max_tokens = 100;
  double length_penalty = 1;  // above 0: longer sentences lose less; 0: plain sums, which favour short ones
  bool early_stopping = false;
  void fields(Config& c) {
    c.field("beam", beam, "hypotheses that are followed at once; 1: greedy");
    c.field("max_tokens", max_tokens, "longest output");
    c.field("length_penalty", length_penalty, "a finished hypothesis is worth its log probability divided by its length to this power");
    c.field("early_stopping", early_stopping, "a sentence is done as soon as `beam` hypotheses have ended");
  }
  void check() const;
};

/// A model in the midst of decoding, one row per hypothesis.
class StepDecoder {
 public:
  virtual ~StepDecoder() = default;
  /// last i64 [rows]: the newest token of each row (at first the start token) -> logits [rows, V] of the next.
  virtual Tensor step(const Tensor& last) = 0;
  /// Row r continues what row rows[r] has written; both belong to one sentence.
  virtual void reorder(std::span<const int32_t> rows) = 0;
};

struct Hypothesis {
  std::vector<int32_t> tokens;  // without start and end
  double score = 0;             // Σ log p / length^length_penalty
};

/// The likeliest token at each step. The decoder has `batch` rows.
std::vector<std::vector<int32_t>> greedy_search(Context& context, StepDecoder& decoder, int64_t batch, int64_t bos, int64_t eos,
                                                int64_t max_tokens);

/// The best finished hypothesis of each sentence. The decoder has batch · beam rows, row b · beam + k.
std::vector<Hypothesis> beam_search(Context& context, StepDecoder& decoder, int64_t batch, int64_t bos, int64_t eos,
                                    const GenerationOptions& options);

}  // namespace alinea
