// Decoding while the source is still arriving: after every chunk of encoder states the policy decides whether to write the next token
// or to read on. Output is append-only.
//   emma:    write when min (or mean, median) over layers and heads of p on the newest column reaches the threshold
//   waitk:   token i is written once (i + k) · ratio states have been read
//   offline: everything is written after the source has ended
// A written token keeps what it saw (cached): its keys and values are not computed again, as in training, where row i keeps its own write
// time. With `recompute` every decision runs the whole prefix against everything read, as SeamlessStreaming does: O(n²), for comparison.
#pragma once
#include "models/s2t_transformer.h"

namespace alinea {

struct StreamOptions {
  enum class Policy { emma, waitk, offline } policy = Policy::emma;
  double threshold = 0.5;
  std::string reduce = "min";
  int64_t wait_k = 3, ratio = 8;                            // ratio: states per token
  int64_t max_tokens = 60;
  bool recompute = false;
};

/// One decision on the next token.
struct Decision {
  bool write = false, forced = false;                       // forced: the source had ended, the policy was not asked
  int32_t token = 0;                                        // the candidate; written when `write`
  int64_t index = 0, states_read = 0;                       // which token, and how many encoder states had been read
  double p = 1;                                             // the policy's reduced p (emma)
  PolicyVote slowest;                                       // the layer and head with the smallest p: who held the word back
  std::vector<PolicyVote> votes;
};

class SimultaneousDecoder {
 public:
  SimultaneousDecoder(S2TTransformer& model, const StreamOptions& options, int64_t state_capacity);

  /// Encoder states [1,n,C] of the next chunk -> the decisions up to the one that reads on.
  std::vector<Decision> push(const Tensor& states);
  /// The same when the caller knows that nothing follows: no decision is taken before finish().
  void read(const Tensor& states);
  /// The source has ended: the remaining tokens, up to the end token.
  std::vector<Decision> finish();

  const std::vector<int32_t>& tokens() const { return tokens_; }
  bool ended() const { return ended_; }

 private:
  Decision decide();
  bool allows(Decision& d) const;
  TextDecoder::State fresh() const;
  std::vector<Decision> run();

  S2TTransformer& model_;
  StreamOptions options_;
  int64_t capacity_, read_ = 0;
  TextDecoder::State state_;
  std::vector<Tensor> memory_;                              // recompute only
  std::vector<int32_t> tokens_;
  bool finished_ = false, ended_ = false;
};

}  // namespace alinea
