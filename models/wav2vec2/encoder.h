// The transformer of wav2vec 2.0: positions from a grouped convolution, then layers of self-attention and feed-forward that normalise
// after each block, or before it ("stable"). Baevski et al. 2020, section 2; Xu et al. 2021 for the stable form.
#pragma once
#include "models/wav2vec2/config.h"
#include "nn/multi_head_attention.h"

namespace alinea {

/// GELU(conv(x)), its kernel under weight normalisation: as many frames as x has.
class Wav2Vec2Positions final : public Module {
 public:
  Wav2Vec2Positions() = default;
  Wav2Vec2Positions(Context& context, const Wav2Vec2Config& config, RandomKey key);
  Variable forward(const Variable& x, Tape* tape);
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  Parameter length_, direction_, bias_;                     // g [1, 1, K], v [H, H/groups, K]
  Conv1d op_;
};

class Wav2Vec2Encoder final : public Module {
 public:
  Wav2Vec2Encoder() = default;
  Wav2Vec2Encoder(Context& context, const Wav2Vec2Config& config, RandomKey key);
  /// x [B, T, H], zero past `lengths` (empty: all frames are real) -> [B, T, H]. `hidden`, where given, gets the input of the first layer
  /// and the output of each, before the final norm of the stable form.
  Variable forward(const Variable& x, const std::vector<int32_t>& lengths, std::vector<Variable>* hidden, const Pass& pass);
  MultiHeadAttention& self_attention(int64_t layer) { return layers_.at(size_t(layer)).attention; }
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  struct LanguageAdapter {                                  // x + W₂ ReLU(W₁ LN(x)): a few weights per language (Pratap et al. 2023)
    LayerNormLayer norm;
    LinearLayer in, out;
  };
  struct Layer {
    MultiHeadAttention attention;
    LayerNormLayer attention_norm, ffn_norm;
    FeedForward ffn;
    LanguageAdapter adapter;                                // without values where the model has none
  };
  Layer make_layer(Context& context, RandomKey key) const;
  Variable run_layer(Layer& layer, const Variable& x, const MultiHeadAttention::Options& options, const Pass& pass);

  Wav2Vec2Config config_;
  Wav2Vec2Positions positions_;
  LayerNormLayer norm_;
  std::vector<Layer> layers_;
};

}  // namespace alinea
