#include "models/speech_encoder.h"

#include "autograd/glu.h"
#include "autograd/layout.h"
#include "models/block.h"

namespace alinea {

SpeechEncoder::SpeechEncoder(Context& context, const S2TConfig& config, RandomKey key) : context_(context), config_(config) {
  make_stem(key.child("stem"));
  for (int64_t i = 0; i < config.encoder_layers; ++i) {
    const RandomKey k = key.child("layers").child(uint64_t(i));
    Layer layer;
    if (config.encoder_conv_kernel > 0) {
      layer.conv_norm = LayerNormLayer(context, config.d_model);
      layer.conv = CausalConv(context, config.d_model, config.d_model, config.encoder_conv_kernel, 1, k.child("conv"));
    }
    layer.attention_norm = LayerNormLayer(context, config.d_model);
    layer.attention = MultiHeadAttention(context, config.attention.encoder_self.layer(i), config.d_model, config.heads,
                                         {.self = true, .rule = config.encoder_chunk > 0 ? Mask::Rule::chunk : Mask::Rule::all}, k.child("attention"));
    layer.ffn_norm = LayerNormLayer(context, config.d_model);
    layer.ffn = FeedForward(context, config.d_model, config.ffn, activation_named(config.activation), k.child("ffn"));
    layers_.push_back(std::move(layer));
  }
  if (config.embedding_norm) embedding_norm_ = LayerNormLayer(context, config.d_model);
  final_norm_ = LayerNormLayer(context, config.d_model);
  positions_ = Positions(context, config, key.child("positions"));
}

void SpeechEncoder::make_stem(RandomKey key) {
  const StemConfig& stem = config_.stem;
  if (stem.kind == "conv2d") {
    int64_t bins = config_.input_bins;
    for (int64_t i = 0; i < stem.layers; ++i, bins = (bins + 1) / 2)
      stem_2d_.emplace_back(context_, i == 0 ? 1 : stem.channels, stem.channels, stem.kernel, 2, key.child(uint64_t(i)));
    stem_out_ = LinearLayer(context_, bins * stem.channels, config_.d_model, key.child("out"));
    return;
  }
  const bool glu = stem.kind == "glu";
  int64_t in = config_.input_bins;
  for (int64_t i = 0; i < stem.layers; ++i) {
    const int64_t out = !glu ? config_.d_model : i + 1 < stem.layers ? stem.channels : 2 * config_.d_model;
    stem_.emplace_back(context_, in, out, stem.kernel, 2, key.child(uint64_t(i)));
    if (!glu) stem_norms_.emplace_back(context_, out);
    in = glu ? out / 2 : out;
  }
}

Variable SpeechEncoder::run_stem(const Variable& features, Tape* tape) {
  Variable x = features;
  if (!stem_2d_.empty()) {
    x = reshape(x, {x.size(0), x.size(1), x.size(2), 1});
    for (Conv2dLayer& layer : stem_2d_) x = layer(x, tape, Activation::relu);
    return stem_out_(reshape(x, {x.size(0), x.size(1), x.size(2) * x.size(3)}), tape);   // [B,S,bins · channels]
  }
  for (size_t i = 0; i < stem_.size(); ++i) {
    if (stem_norms_.empty()) x = glu(conv1d(x, on(tape, stem_[i].weight), on(tape, stem_[i].bias),
                                            Conv1d{.stride = 2, .pad_left = config_.stem.kernel / 2, .pad_right = config_.stem.kernel / 2}));
    else x = stem_norms_[i](stem_[i](x, tape, Activation::relu), tape);
  }
  return x;
}

Variable SpeechEncoder::run_layer(Layer& layer, const Variable& input, const MultiHeadAttention::Options& options, const Pass& pass) {
  const bool pre = config_.norm == "pre";
  const double p = config_.dropout;
  Variable x = input;
  if (layer.conv.weight.value)
    x = residual(x, layer.conv_norm, pre, p, pass.child("conv"), [&](const Variable& y) { return layer.conv(y, pass.tape, Activation::relu); });
  x = residual(x, layer.attention_norm, pre, p, pass.child("attention"),
               [&](const Variable& y) { return layer.attention.forward(y, y, options, pass.child("self")).y; });
  return residual(x, layer.ffn_norm, pre, p, pass.child("ffn"), [&](const Variable& y) { return layer.ffn(y, config_.activation_dropout, pass); });
}

Variable SpeechEncoder::embed(const Variable& stem, const std::vector<int32_t>& lengths, int64_t first, Tape* tape) {
  const Variable scaled = config_.scale_stem ? scale(stem, std::sqrt(double(config_.d_model))) : stem;
  const Variable x = positions_.add_to(scaled, first, positions_.skips_padding() ? real_columns(lengths, stem.size(1)) : std::vector<bool>(), tape);
  return config_.embedding_norm ? embedding_norm_(x, tape) : x;
}

SpeechEncoder::Output SpeechEncoder::forward(const Variable& features, const std::vector<int32_t>& frames, const Pass& pass, std::vector<Variable>* hidden) {
  require(features.shape().rank == 3 && features.size(2) == config_.input_bins && int64_t(frames.size()) == features.size(0),
          "speech encoder: features are {}, expected [B, F, {}] with one length per item", features.shape(), config_.input_bins);
  Output out;
  const int64_t r = frames_per_state();
  for (const int32_t n : frames) out.lengths.push_back(int32_t((n + r - 1) / r));
  Variable x = drop(embed(run_stem(features, pass.tape), out.lengths, 0, pass.tape), config_.dropout, pass.child("positions"));
  MultiHeadAttention::Options options{.dropout = config_.attention_dropout};
  if (config_.encoder_chunk > 0) options.mask = Mask{.rule = Mask::Rule::chunk, .chunk = config_.encoder_chunk};
  options.mask.source_lengths = out.lengths;
  options.extents.source = options.extents.target = {out.lengths.begin(), out.lengths.end()};
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Pass here = pass.child("layers").child(uint64_t(i));
    if (hidden) hidden->push_back(x);
    if (left_out(config_.encoder_layerdrop, here)) continue;
    if (!config_.activation_checkpointing) x = run_layer(layers_[i], x, options, here);
    else x = Tape::checkpoint(here.tape, [this, i, options, here](Tape* tape, const std::vector<Variable>& in) {
      return run_layer(layers_[i], in[0], options, {tape, here.key, here.training, here.step});
    }, {x});
  }
  out.states = config_.norm == "pre" ? final_norm_(x, pass.tape) : x;
  if (hidden) hidden->push_back(out.states);
  return out;
}

SpeechEncoder::Stream SpeechEncoder::begin(int64_t capacity) {
  require(config_.streamable(), "speech encoder: this model sees the whole utterance (encoder_chunk {}, stem {}) and cannot be streamed", config_.encoder_chunk,
          config_.stem.kind);
  Stream s;
  for (size_t i = 0; i < stem_.size(); ++i)
    s.stem_before.push_back(context_.zeros({1, stem_[i].left, stem_[i].weight.value.size(1)}, DType::f32));
  for (Layer& layer : layers_) {
    s.conv_before.push_back(context_.zeros({1, layer.conv.left, config_.d_model}, DType::f32));
    s.attention.push_back(layer.attention.begin(context_, {.capacity = capacity}));
  }
  return s;
}

namespace {

// The last `n` rows of (before, x): what the next piece reaches back to.
Tensor tail(const Tensor& before, const Tensor& x, int64_t n) {
  if (x.size(1) >= n) return x.slice(1, x.size(1) - n, x.size(1)).clone();
  const Tensor t = x.context().empty({1, n, x.size(2)}, x.dtype());
  t.slice(1, 0, n - x.size(1)).copy_from(before.slice(1, x.size(1), n));
  t.slice(1, n - x.size(1), n).copy_from(x);
  return t;
}

}  // namespace

Tensor SpeechEncoder::push_layer(Layer& layer, const Tensor& input, Tensor& before, AttentionState& attention, int64_t place) {
  const bool pre = config_.norm == "pre";
  const Pass pass;
  Variable x = input;
  if (layer.conv.weight.value)
    x = residual(x, layer.conv_norm, pre, 0, pass, [&](const Variable& y) {
      const Tensor out = layer.conv.step(before, y.value(), Activation::relu);
      before = tail(before, y.value(), layer.conv.left);
      return Variable(out);
    });
  x = residual(x, layer.attention_norm, pre, 0, pass, [&](const Variable& y) {
    layer.attention.append(attention, y.value());
    return Variable(layer.attention.step(attention, y.value(), place));
  });
  return residual(x, layer.ffn_norm, pre, 0, pass, [&](const Variable& y) { return layer.ffn(y, 0, pass); }).value();
}

Tensor SpeechEncoder::push(Stream& stream, const Tensor& features) {
  require(features.rank() == 3 && features.size(0) == 1 && features.size(1) > 0 && features.size(1) % frames_per_state() == 0,
          "speech encoder: a streamed piece is {}, its frames must be whole states of {} frames", features.shape(), frames_per_state());
  require(stream.states % config_.encoder_chunk == 0, "speech encoder: a piece after the last, incomplete chunk");
  Tensor all = features;
  for (size_t i = 0; i < stem_.size(); ++i) {
    const Tensor y = stem_[i].step(stream.stem_before[i], all, Activation::relu);
    stream.stem_before[i] = tail(stream.stem_before[i], all, stem_[i].left);
    all = stem_norms_[i](y, nullptr).value();
  }
  const int64_t n = all.size(1), C = config_.d_model;
  const Tensor out = context_.empty({1, n, C}, DType::f32);
  require(stream.states + n <= config_.max_positions, "speech encoder: the utterance has more than {} states; cut it at a pause", config_.max_positions);
  for (int64_t begin = 0; begin < n; begin += config_.encoder_chunk) {   // chunk by chunk: a chunk must not see the next one
    const int64_t end = std::min(n, begin + config_.encoder_chunk);
    Tensor x = embed(Variable(all.slice(1, begin, end)), {int32_t(end - begin)}, stream.states, nullptr).value();
    for (size_t i = 0; i < layers_.size(); ++i) x = push_layer(layers_[i], x, stream.conv_before[i], *stream.attention[i], stream.states);
    out.slice(1, begin, end).copy_from(config_.norm == "pre" ? final_norm_(x, nullptr).value() : x);
    stream.states += end - begin;
  }
  return out;
}

void SpeechEncoder::visit(const std::string& prefix, const Visitor& v) {
  for (size_t i = 0; i < stem_.size(); ++i) {
    const std::string stem = stem_norms_.empty() ? fmt::format("conv.conv_layers.{}", i) : fmt::format("stem.{}.conv", i);
    stem_[i].visit(path(prefix, stem), v);
    if (!stem_norms_.empty()) stem_norms_[i].visit(path(prefix, fmt::format("stem.{}.norm", i)), v);
  }
  for (size_t i = 0; i < stem_2d_.size(); ++i) stem_2d_[i].visit(path(prefix, fmt::format("stem.{}.conv", i)), v);
  if (!stem_2d_.empty()) stem_out_.visit(path(prefix, "stem.out"), v);
  positions_.visit(prefix, v);
  if (config_.embedding_norm) embedding_norm_.visit(path(prefix, "layernorm_embedding"), v);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const std::string p = path(prefix, fmt::format("layers.{}", i));
    if (layers_[i].conv.weight.value) {
      layers_[i].conv_norm.visit(path(p, "conv_norm"), v);
      layers_[i].conv.visit(path(p, "conv"), v);
    }
    layers_[i].attention_norm.visit(path(p, "self_attn_layer_norm"), v);
    layers_[i].attention.visit(path(p, "self_attn"), v);
    layers_[i].ffn_norm.visit(path(p, "final_layer_norm"), v);
    layers_[i].ffn.visit(p, v);
  }
  if (config_.norm == "pre") final_norm_.visit(path(prefix, "layer_norm"), v);
}

}  // namespace alinea
