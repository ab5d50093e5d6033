// From log-mel frames to encoder states: a stem of convolutions (each halves the rate), positions, and layers of
//   causal convolution · chunk-causal self-attention · feed-forward.
// A state sees its own chunk and everything before it, so the states of a prefix equal those of the whole utterance: streaming encodes
// every chunk once (SpeechEncoder::Stream) and never again.
#pragma once
#include "models/positions.h"
#include "models/s2t_config.h"
#include "nn/multi_head_attention.h"

namespace alinea {

class SpeechEncoder final : public Module {
 public:
  SpeechEncoder(Context& context, const S2TConfig& config, RandomKey key);

  struct Output {
    Variable states;                                        // [B,S,C]
    std::vector<int32_t> lengths;                           // real states per item
  };
  /// features [B,F,bins] with `frames` real ones per item; F is padded by the caller with the value of silence.
  /// hidden: gets what enters each layer, and the states.
  Output forward(const Variable& features, const std::vector<int32_t>& frames, const Pass& pass, std::vector<Variable>* hidden = nullptr);
  /// What the convolutions of the stem make of features: [B,S,C].
  Variable run_stem(const Variable& features, Tape* tape);

  /// What streaming remembers: the inputs that the next convolution taps reach back to, and the keys and values of each layer.
  struct Stream {
    std::vector<Tensor> stem_before, conv_before;
    std::vector<std::unique_ptr<AttentionState>> attention;
    int64_t states = 0;
  };
  Stream begin(int64_t capacity);
  /// features [1, n · frames_per_state, bins] of whole states -> states [1, n, C]. All but the last piece of an utterance must be whole
  /// chunks; the last one is filled up with silence by the caller.
  Tensor push(Stream& stream, const Tensor& features);

  int64_t frames_per_state() const { return config_.frames_per_state(); }
  void set_dropout(const TransformerConfig& rates) { config_.copy_dropout(rates); }
  MultiHeadAttention& self_attention(int64_t layer) { return layers_.at(size_t(layer)).attention; }
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  struct Layer {
    LayerNormLayer conv_norm, attention_norm, ffn_norm;
    CausalConv conv;
    MultiHeadAttention attention;
    FeedForward ffn;
  };
  void make_stem(RandomKey key);
  Variable embed(const Variable& stem, const std::vector<int32_t>& lengths, int64_t first, Tape* tape);   // scale, positions, norm
  Variable run_layer(Layer& layer, const Variable& x, const MultiHeadAttention::Options& options, const Pass& pass);
  Tensor push_layer(Layer& layer, const Tensor& x, Tensor& before, AttentionState& attention, int64_t place);   // place: states before this piece

  Context& context_;
  S2TConfig config_;
  std::vector<CausalConv> stem_;
  std::vector<LayerNormLayer> stem_norms_;
  std::vector<Conv2dLayer> stem_2d_;
  LinearLayer stem_out_;                                    // behind Conv2d; its columns are bin by bin, ESPnet's channel by channel
  std::vector<Layer> layers_;
  LayerNormLayer embedding_norm_, final_norm_;
  Positions positions_;
};

}  // namespace alinea
