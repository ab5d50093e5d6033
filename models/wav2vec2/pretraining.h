// Pre-training on waves alone (Baevski et al. 2020, section 3): spans of frames are masked, and the encoder must tell the quantized features
// of each masked frame from those of other masked frames of the same utterance (Hugging Face's Wav2Vec2ForPreTraining).
#pragma once
#include <cmath>

#include "models/wav2vec2/wav2vec2.h"

namespace alinea {

/// Temperature of the Gumbel softmax: τ(n) = max(start · decay^n, floor) after n updates.
struct TemperatureSchedule {
  double start = 2, floor = 0.5, decay = 0.999995;          // the base model's; large ones go down to 0.1
  void fields(Config& c) {
    c.field("start", start, "temperature of the first update");
    c.field("floor", floor, "lowest temperature");
    c.field("decay", decay, "factor per update");
  }
  double at(int64_t updates) const { return std::max(start * std::pow(decay, double(updates)), floor); }
};

class Wav2Vec2ForPreTraining final : public Module {
 public:
  Wav2Vec2ForPreTraining(Context& context, const Wav2Vec2Config& config, RandomKey key);

  /// What is none is drawn from the pass's key.
  struct Options {
    Tensor mask;                                            // u8 [B, T]
    Tensor negatives;                                       // i64 [B, T, K], frames as b · T + t
    Tensor noise;                                           // [B, T, G V], Gumbel noise of the quantizer, training only
    double temperature = 2;
    double feature_penalty = 0;                             // weight of the mean square of the convolutions' output; fairseq's base model: 10
  };
  struct Output {
    Variable loss;                                          // contrastive + weights · (diversity, penalty): sums over masked frames, divide by `masked`
    Variable contrastive, diversity, perplexity;
    Variable states, quantized;                             // [B, T, P]: what is compared
    Variable code_logits;                                   // [B, T, G V], before noise
    Tensor mask, negatives;                                 // given or drawn
    int64_t masked = 0;                                     // frames
    Wav2Vec2::Output encoder;
  };
  /// Training chooses codes with Gumbel noise and a straight-through gradient; otherwise the most likely code is taken, without a gradient.
  Output forward(const Tensor& samples, const std::vector<int32_t>& lengths, const Options& options, const Pass& pass);

  const Wav2Vec2Config& config() const { return encoder_.config(); }
  Wav2Vec2& encoder() { return encoder_; }
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  Variable quantize(const Variable& logits, const Options& options, const Pass& pass);

  Wav2Vec2 encoder_;
  LinearLayer project_states_, project_codes_, code_logits_;
  Parameter codevectors_;                                   // [1, G V, D/G]
};

}  // namespace alinea
