// Speech recognition: a linear layer on wav2vec 2.0's states and the CTC loss (Hugging Face's Wav2Vec2ForCTC).
#pragma once
#include "engine/ops/reduction.h"
#include "models/wav2vec2/wav2vec2.h"

namespace alinea {

class Wav2Vec2ForCTC final : public Module {
 public:
  Wav2Vec2ForCTC(Context& context, const Wav2Vec2Config& config, RandomKey key);

  struct Output {
    Variable logits;                                        // [B, T', V]
    Variable loss;                                          // none without labels
    int64_t too_long = 0;                                   // items whose labels have no alignment: infinite, or 0 with ctc_zero_infinity
    Wav2Vec2::Output encoder;
  };
  /// What the loss does otherwise than the configuration says.
  struct LossRule {
    std::optional<Reduction> reduction;
    std::optional<bool> zero_infinity;
  };
  /// labels i64 [B, L] or none; those that are −100 or the blank (pad_token_id) are dropped.
  Output forward(const Tensor& samples, const std::vector<int32_t>& lengths, const Tensor& labels, const Wav2Vec2::Options& options, const Pass& pass, const LossRule& rule);
  Output forward(const Tensor& samples, const std::vector<int32_t>& lengths, const Tensor& labels, const Wav2Vec2::Options& options, const Pass& pass) {
    return forward(samples, lengths, labels, options, pass, {});
  }

  const Wav2Vec2Config& config() const { return encoder_.config(); }
  Wav2Vec2& encoder() { return encoder_; }
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  Wav2Vec2 encoder_;
  LinearLayer head_;
};

/// Labels without those that are −100 or `blank`, moved to the front of each row.
struct CtcTargets {
  Tensor labels;                                            // i64 [B, L]
  std::vector<int32_t> lengths;
  CtcTargets(const Tensor& padded, int64_t blank);
  /// Items that need more frames than they have: one per label and one between equal neighbours.
  int64_t too_long(const std::vector<int32_t>& frames) const;
};

}  // namespace alinea
