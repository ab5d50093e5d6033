// How long will the translation be? cosFormer blocks of a decoder weigh by i / N and need N before the first token is written
// (Agostinelli & Chen 2023, section 2.4). Training knows N; decoding predicts it:
//   ratio     N = r · (source positions), r = mean of N / S over the training data
//   table     N = Σ_j t[token_j] / dampening, t fitted to the training lengths by least squares (the paper takes t from forced alignments)
//   network   N = Σ_j exp(n_j) with n from [conv 3, ReLU, layer norm, dropout 0.5] × 2 and a linear layer on the encoder's states,
//             trained beside the model to make log N right
// What was fitted is saved with the model. Rows past N keep the last angle (engine/ops/feature_map.h).
#pragma once
#include "models/transformer_config.h"
#include "nn/layers.h"

namespace alinea {

/// One training sentence: its source tokens (of speech: none, only how many states it has) and its target's length with the end token.
struct LengthExample {
  std::vector<int32_t> source;
  int64_t positions = 0, target = 0;
};

class TargetLength final : public Module {
 public:
  TargetLength() = default;
  /// source_words: size of the table; 0: there are no source tokens (speech), kind table is refused.
  TargetLength(Context& context, const TransformerConfig& config, int64_t source_words, RandomKey key);

  /// Ratio and table from the training data. `network` needs the ratio too, to start from.
  void fit(const std::vector<LengthExample>& examples);
  bool fitted() const { return scalar(ratio_) > 0; }

  /// One length (at least 1) per item. states [B,S,C]; ids i64 [B,S] or none.
  std::vector<double> predict(const Tensor& states, const std::vector<int32_t>& lengths, const Tensor& ids);
  /// network: mean of (log N̂ − log N)², the gradient reaches the states; none for the other kinds.
  Variable loss(const Variable& states, const std::vector<int32_t>& lengths, const std::vector<int32_t>& target_lengths, const Pass& pass);

  /// The extents of a training batch: real lengths, the target's stretched by a factor drawn from [1/jitter, jitter] when jitter is above 1,
  /// so that a decoder does not read the end off the last angle.
  Extents training_extents(const std::vector<int32_t>& source_lengths, const std::vector<int32_t>& target_lengths, const Pass& pass) const;
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  static double scalar(const Parameter& p) { return p.value ? p.value.values<double>()[0] : 0; }
  Variable total(const Variable& states, const std::vector<int32_t>& lengths, const Pass& pass);   // network: N̂ [B]
  TargetLengthConfig config_;
  Parameter ratio_, table_;                                 // fixed: [1], [V]
  struct Block {
    Parameter weight, bias;
    LayerNormLayer norm;
  };
  std::vector<Block> blocks_;
  LinearLayer out_;
};

}  // namespace alinea
