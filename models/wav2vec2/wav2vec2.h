// wav2vec 2.0 (Baevski, Zhou, Mohamed, Auli 2020): a wave at 16 kHz in, one state per 20 ms out. Parameters have the names of Hugging
// Face's Wav2Vec2Model, so that its files load as they are.
//
//   wave -> convolutions -> LayerNorm -> linear -> masks -> + positions -> transformer [-> gated convolutions] -> states
#pragma once
#include "models/wav2vec2/encoder.h"
#include "models/wav2vec2/feature_encoder.h"

namespace alinea {

class Wav2Vec2 final : public Module {
 public:
  Wav2Vec2(Context& context, const Wav2Vec2Config& config, RandomKey key);

  struct Options {
    bool hidden_states = false;                             // keep the input of each layer
    Tensor mask_time;                                       // u8 [B, T]: frames replaced by the mask vector; none: training draws them
    Tensor mask_channels;                                   // u8 [B, H]: channels set to zero; none: training draws them
  };
  struct Output {
    Variable states;                                        // [B, T', O]
    Variable conv_features;                                 // [B, T, C]: the convolutions' output
    Variable extract_features;                              // [B, T, C]: the same, normalised; what the quantizer sees
    std::vector<int32_t> frames, lengths;                   // real ones of T and T' per item; all where no lengths were given
    std::vector<Variable> hidden_states;                    // inputs of the layers and output of the last, before the stable form's final norm
  };
  /// samples [B, N], normalised as the model wants them; lengths: real samples per item, the rest is padding that attention does not see.
  /// No lengths: all samples count. Group-norm models see the padding in their first norm all the same, as they did in training.
  Output forward(const Tensor& samples, const std::vector<int32_t>& lengths, const Options& options, const Pass& pass);
  Output forward(const Tensor& samples, const std::vector<int32_t>& lengths, const Pass& pass) { return forward(samples, lengths, {}, pass); }

  /// Real frames before the adapter, of samples, per item; refuses items that are too short for one.
  std::vector<int32_t> frame_lengths(const std::vector<int32_t>& samples) const;
  std::vector<int32_t> state_lengths(const std::vector<int32_t>& frames) const;

  const Wav2Vec2Config& config() const { return config_; }
  Context& context() const { return context_; }
  Wav2Vec2Encoder& encoder() { return encoder_; }
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  struct Adapter {
    LinearLayer projection;                                 // without values where the width does not change
    LayerNormLayer norm;
    std::vector<Conv1dLayer> convs;                         // each to twice the width, halved by its gate
  };
  void make_adapter(RandomKey key);
  Variable project(const Variable& features, const Pass& pass);
  Variable mask(const Variable& x, const Output& out, bool padded, const Options& options, const Pass& pass);
  Variable adapt(Variable x, Tape* tape);

  Context& context_;
  Wav2Vec2Config config_;
  Wav2Vec2FeatureEncoder features_;
  LayerNormLayer projection_norm_;
  LinearLayer projection_;
  Parameter mask_vector_;
  Wav2Vec2Encoder encoder_;
  Adapter adapter_;
};

}  // namespace alinea
