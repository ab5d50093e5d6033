#include "models/wav2vec2/encoder.h"

#include <cmath>

#include "autograd/weight_norm.h"
#include "models/block.h"

namespace alinea {

// Directions are drawn with deviation 2/√(K H) as in fairseq; the lengths are those that such directions have.
Wav2Vec2Positions::Wav2Vec2Positions(Context& context, const Wav2Vec2Config& c, RandomKey key) {
  const int64_t H = c.hidden_size, K = c.num_conv_pos_embeddings, in = H / c.num_conv_pos_embedding_groups;
  const double deviation = 2 / std::sqrt(double(K * H));
  length_ = constant_parameter(context, {1, 1, K}, deviation * std::sqrt(double(H) * double(in)));
  direction_ = normal_parameter(context, {H, in, K}, deviation, key.child("direction"));
  bias_ = constant_parameter(context, {H}, 0);
  op_ = {.pad_left = K / 2, .pad_right = K - 1 - K / 2, .groups = c.num_conv_pos_embedding_groups, .activation = Activation::gelu};
}

Variable Wav2Vec2Positions::forward(const Variable& x, Tape* tape) {
  return conv1d(x, weight_norm(on(tape, direction_), on(tape, length_)), on(tape, bias_), op_);
}

void Wav2Vec2Positions::visit(const std::string& prefix, const Visitor& v) {
  v(path(prefix, "conv.bias"), bias_);
  v(path(prefix, "conv.parametrizations.weight.original0"), length_);
  v(path(prefix, "conv.parametrizations.weight.original1"), direction_);
}

Wav2Vec2Encoder::Wav2Vec2Encoder(Context& context, const Wav2Vec2Config& config, RandomKey key)
    : config_(config), positions_(context, config, key.child("positions")), norm_(context, config.hidden_size, config.layer_norm_eps) {
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) layers_.push_back(make_layer(context, key.child("layers").child(uint64_t(i))));
}

Wav2Vec2Encoder::Layer Wav2Vec2Encoder::make_layer(Context& context, RandomKey key) const {
  const int64_t H = config_.hidden_size;
  Layer layer;
  layer.attention = MultiHeadAttention(context, {}, H, config_.num_attention_heads, {.self = true}, key.child("attention"));
  layer.attention_norm = LayerNormLayer(context, H, config_.layer_norm_eps);
  layer.ffn = FeedForward(context, H, config_.intermediate_size, activation_named(config_.hidden_act), key.child("ffn"));
  layer.ffn_norm = LayerNormLayer(context, H, config_.layer_norm_eps);
  if (config_.adapter_attn_dim) {
    layer.adapter.norm = LayerNormLayer(context, H);
    layer.adapter.in = LinearLayer(context, H, *config_.adapter_attn_dim, key.child("adapter").child("in"));
    layer.adapter.out = LinearLayer(context, *config_.adapter_attn_dim, H, key.child("adapter").child("out"));
  }
  return layer;
}

Variable Wav2Vec2Encoder::run_layer(Layer& layer, const Variable& input, const MultiHeadAttention::Options& options, const Pass& pass) {
  const bool pre = config_.do_stable_layer_norm;
  const double p = config_.hidden_dropout;
  Variable x = residual(input, layer.attention_norm, pre, p, pass.child("attention"),
                        [&](const Variable& y) { return layer.attention.forward(y, y, options, pass.child("self")).y; });
  x = residual(x, layer.ffn_norm, pre, p, pass.child("ffn"), [&](const Variable& y) { return layer.ffn(y, config_.activation_dropout, pass); });
  if (!layer.adapter.norm.weight.value) return x;
  return add(x, layer.adapter.out(layer.adapter.in(layer.adapter.norm(x, pass.tape), pass.tape, Activation::relu), pass.tape));
}

Variable Wav2Vec2Encoder::forward(const Variable& input, const std::vector<int32_t>& lengths, std::vector<Variable>* hidden, const Pass& pass) {
  const bool pre = config_.do_stable_layer_norm;
  const Variable positions = positions_.forward(input, pass.tape);
  Variable x = pre ? add(input, positions) : norm_.after_add(input, positions, pass.tape).y;
  x = drop(x, config_.hidden_dropout, pass.child("positions"));
  if (hidden) hidden->push_back(x);
  MultiHeadAttention::Options options{.dropout = config_.attention_dropout};
  options.mask.source_lengths = lengths;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Pass here = pass.child("layers").child(uint64_t(i));
    const bool skipped = pass.training && Draw(here.key.child("layerdrop")).uniform() < config_.layerdrop;
    if (!skipped && !config_.gradient_checkpointing) x = run_layer(layers_[i], x, options, here);
    else if (!skipped) x = Tape::checkpoint(here.tape, [this, i, options, here](Tape* tape, const std::vector<Variable>& in) {
      return run_layer(layers_[i], in[0], options, {tape, here.key, here.training, here.step});
    }, {x});
    if (hidden) hidden->push_back(x);
  }
  return pre ? norm_(x, pass.tape) : x;
}

void Wav2Vec2Encoder::visit(const std::string& prefix, const Visitor& v) {
  positions_.visit(path(prefix, "pos_conv_embed"), v);
  norm_.visit(path(prefix, "layer_norm"), v);
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    const std::string p = path(prefix, fmt::format("layers.{}", i));
    layer.attention.visit(path(p, "attention"), v);
    layer.attention_norm.visit(path(p, "layer_norm"), v);
    layer.ffn.in.visit(path(p, "feed_forward.intermediate_dense"), v);
    layer.ffn.out.visit(path(p, "feed_forward.output_dense"), v);
    layer.ffn_norm.visit(path(p, "final_layer_norm"), v);
    if (!layer.adapter.norm.weight.value) continue;
    layer.adapter.norm.visit(path(p, "adapter_layer.norm"), v);
    layer.adapter.in.visit(path(p, "adapter_layer.linear_1"), v);
    layer.adapter.out.visit(path(p, "adapter_layer.linear_2"), v);
  }
}

}  // namespace alinea
