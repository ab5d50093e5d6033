// From source tokens to encoder states: embedding, positions, and layers of self-attention · feed-forward.
#pragma once
#include "models/positions.h"
#include "nn/multi_head_attention.h"

namespace alinea {

class TextEncoder final : public Module {
 public:
  TextEncoder(Context& context, const TransformerConfig& config, RandomKey key);

  /// ids i64 [B,S] with `lengths` real ones per item, table [V,C]; rarity [B,S]: how rare each token is (structured attention) -> states [B,S,C].
  /// hidden: gets what enters each layer, and the states.
  Variable forward(const Tensor& ids, const std::vector<int32_t>& lengths, const Tensor& rarity, Parameter& table, const Pass& pass,
                   std::vector<Variable>* hidden = nullptr);

  void set_dropout(const TransformerConfig& rates) { config_.copy_dropout(rates); }
  MultiHeadAttention& self_attention(int64_t layer) { return layers_.at(size_t(layer)).attention; }
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  struct Layer {
    LayerNormLayer attention_norm, ffn_norm;
    MultiHeadAttention attention;
    FeedForward ffn;
  };
  Variable embed(const Tensor& ids, const std::vector<int32_t>& lengths, Parameter& table, const Pass& pass);
  Variable run_layer(Layer& layer, const Variable& x, const MultiHeadAttention::Options& options, const Pass& pass);

  TransformerConfig config_;
  std::vector<Layer> layers_;
  LayerNormLayer embedding_norm_, final_norm_;
  Positions positions_;
};

}  // namespace alinea
