#include "models/text_encoder.h"

#include "models/block.h"

namespace alinea {

TextEncoder::TextEncoder(Context& context, const TransformerConfig& config, RandomKey key) : config_(config) {
  for (int64_t i = 0; i < config.encoder_layers; ++i) {
    const RandomKey k = key.child("layers").child(uint64_t(i));
    Layer layer;
    layer.attention_norm = LayerNormLayer(context, config.d_model);
    layer.attention = MultiHeadAttention(context, config.attention.encoder_self.layer(i), config.d_model, config.heads, {.self = true}, k.child("attention"));
    layer.ffn_norm = LayerNormLayer(context, config.d_model);
    layer.ffn = FeedForward(context, config.d_model, config.ffn, activation_named(config.activation), k.child("ffn"));
    layers_.push_back(std::move(layer));
  }
  if (config.embedding_norm) embedding_norm_ = LayerNormLayer(context, config.d_model);
  final_norm_ = LayerNormLayer(context, config.d_model);
  positions_ = Positions(context, config, key.child("positions"));
}

Variable TextEncoder::run_layer(Layer& layer, const Variable& input, const MultiHeadAttention::Options& options, const Pass& pass) {
  const bool pre = config_.norm == "pre";
  const double p = config_.dropout;
  const Variable x = residual(input, layer.attention_norm, pre, p, pass.child("attention"),
                              [&](const Variable& y) { return layer.attention.forward(y, y, options, pass.child("self")).y; });
  return residual(x, layer.ffn_norm, pre, p, pass.child("ffn"), [&](const Variable& y) { return layer.ffn(y, config_.activation_dropout, pass); });
}

Variable TextEncoder::embed(const Tensor& ids, const std::vector<int32_t>& lengths, Parameter& table, const Pass& pass) {
  Variable x = embedding(on(pass.tape, table), ids, config_.pad_token, config_.embedding_scale());
  x = positions_.add_to(x, 0, positions_.skips_padding() ? real_columns(lengths, ids.size(1)) : std::vector<bool>(), pass.tape);
  if (config_.embedding_norm) x = embedding_norm_(x, pass.tape);
  return drop(x, config_.dropout, pass.child("embedding"));
}

Variable TextEncoder::forward(const Tensor& ids, const std::vector<int32_t>& lengths, const Tensor& rarity, Parameter& table, const Pass& pass,
                              std::vector<Variable>* hidden) {
  require(ids.rank() == 2 && int64_t(lengths.size()) == ids.size(0), "text encoder: ids are {}, expected [B, S] with one length per item", ids.shape());
  Variable x = embed(ids, lengths, table, pass);
  const std::vector<double> extent(lengths.begin(), lengths.end());
  MultiHeadAttention::Options options{.extents = {extent, extent}, .rarity = rarity, .tokens = ids, .dropout = config_.attention_dropout};
  options.mask.source_lengths = lengths;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (hidden) hidden->push_back(x);
    const Pass here = pass.child("layers").child(uint64_t(i));
    if (left_out(config_.encoder_layerdrop, here)) continue;
    if (!config_.activation_checkpointing) x = run_layer(layers_[i], x, options, here);
    else x = Tape::checkpoint(here.tape, [this, i, options, here](Tape* tape, const std::vector<Variable>& in) {
      return run_layer(layers_[i], in[0], options, {tape, here.key, here.training, here.step});
    }, {x});
  }
  if (config_.norm == "pre") x = final_norm_(x, pass.tape);
  if (hidden) hidden->push_back(x);
  return x;
}

void TextEncoder::visit(const std::string& prefix, const Visitor& v) {
  positions_.visit(prefix, v);
  if (config_.embedding_norm) embedding_norm_.visit(path(prefix, "layernorm_embedding"), v);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const std::string p = path(prefix, fmt::format("layers.{}", i));
    layers_[i].attention_norm.visit(path(p, "self_attn_layer_norm"), v);
    layers_[i].attention.visit(path(p, "self_attn"), v);
    layers_[i].ffn_norm.visit(path(p, "final_layer_norm"), v);
    layers_[i].ffn.visit(p, v);
  }
  if (config_.norm == "pre") final_norm_.visit(path(prefix, "layer_norm"), v);
}

}  // namespace alinea
