#include "models/text_decoder.h"

#include "autograd/avg_pool_time.h"
#include "autograd/layout.h"
#include "models/block.h"

namespace alinea {

TextDecoder::TextDecoder(Context& context, const TransformerConfig& config, RandomKey key, std::string table_name)
    : context_(context), config_(config), table_name_(std::move(table_name)) {
  const int64_t C = config.d_model;
  embedding_ = normal_parameter(context, {config.target_words, C}, 1 / std::sqrt(double(C)), key.child("embedding"));
  if (!config.tie_embeddings) output_ = normal_parameter(context, {config.target_words, C}, 1 / std::sqrt(double(C)), key.child("output"));
  if (config.logits_bias) logits_bias_ = {context.zeros({1, config.target_words}, DType::f32), {}, false, true};
  for (int64_t i = 0; i < config.decoder_layers; ++i) {
    const RandomKey k = key.child("layers").child(uint64_t(i));
    Layer layer;
    layer.self_norm = LayerNormLayer(context, C);
    layer.cross_norm = LayerNormLayer(context, C);
    layer.ffn_norm = LayerNormLayer(context, C);
    layer.self = MultiHeadAttention(context, config.attention.decoder_self.layer(i), C, config.heads_of_decoder(), {.self = true, .rule = Mask::Rule::causal}, k.child("self"));
    layer.cross = MultiHeadAttention(context, config.attention.decoder_cross.layer(i), C, config.heads_of_decoder(), {.self = false}, k.child("cross"));
    layer.ffn = FeedForward(context, C, config.ffn_of_decoder(), activation_named(config.activation), k.child("ffn"));
    layers_.push_back(std::move(layer));
  }
  if (config.embedding_norm) embedding_norm_ = LayerNormLayer(context, C);
  final_norm_ = LayerNormLayer(context, C);
  positions_ = Positions(context, config, key.child("positions"));
}

void TextDecoder::add_policies(const PolicyConfig& policy, RandomKey key) {
  policy_ = policy;
  for (size_t i = 0; i < layers_.size(); ++i) layers_[i].policy = EmmaPolicy(context_, policy, config_.d_model, key.child(uint64_t(i)));
}

Variable TextDecoder::embed(const Tensor& ids, int64_t first, Tape* tape) {
  std::vector<bool> real;
  if (positions_.skips_padding())
    for (const int64_t id : ids.values<int64_t>()) real.push_back(id != config_.pad_token);
  const Variable x = positions_.add_to(embedding(on(tape, embedding_), ids, config_.pad_token, config_.embedding_scale()), first, real, tape);
  return config_.embedding_norm ? embedding_norm_(x, tape) : x;
}

Variable TextDecoder::project(const Variable& x, Tape* tape) {
  const Variable bias = config_.logits_bias ? Variable(logits_bias_.value.reshape({config_.target_words}).to(x.dtype())) : Variable();
  return linear(x, on(tape, config_.tie_embeddings ? embedding_ : output_), bias);
}

Variable TextDecoder::normalised(const Variable& x, Tape* tape) { return config_.norm == "pre" ? final_norm_(x, tape) : x; }

TextDecoder::Output TextDecoder::forward(const Tensor& ids, const Variable& memory, const Mask& cross, bool monotonic, const Extents& extents, const Pass& pass,
                                         std::vector<Variable>* hidden) {
  require(ids.rank() == 2 && memory.shape().rank == 3 && ids.size(0) == memory.size(0), "decoder: ids {} and encoder states {} do not fit", ids.shape(), memory.shape());
  require(!monotonic || policy_, "decoder: this model has no policies; fine-tune it to EMMA first");
  const bool pre = config_.norm == "pre";
  const double p = config_.dropout;
  Output out;
  Variable pooled;
  if (monotonic) pooled = avg_pool_time(memory, cross.source_lengths, policy_->pooling);
  MultiHeadAttention::Options own{.mask = Mask::causal(), .extents = {extents.target, extents.target}, .dropout = config_.attention_dropout};
  MultiHeadAttention::Options other{.mask = cross, .extents = extents, .pooling = policy_ ? policy_->pooling : 1, .dropout = config_.attention_dropout};
  Variable x = drop(embed(ids, 0, pass.tape), p, pass.child("embedding"));
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    const Pass here = pass.child("layers").child(uint64_t(i));
    if (hidden) hidden->push_back(x);
    if (!monotonic && left_out(config_.decoder_layerdrop, here)) continue;
    x = residual(x, layer.self_norm, pre, p, here.child("self"), [&](const Variable& y) { return layer.self.forward(y, y, own, here.child("s")).y; });
    x = residual(x, layer.cross_norm, pre, p, here.child("cross"), [&](const Variable& y) {
      if (monotonic) other.policy = layer.policy.logits(y, pooled, pass.tape);
      const auto r = layer.cross.forward(y, memory, other, here.child("c"));
      if (monotonic) out.alignments.push_back(r.alignment);
      return r.y;
    });
    x = residual(x, layer.ffn_norm, pre, p, here.child("ffn"), [&](const Variable& y) { return layer.ffn(y, config_.activation_dropout, here); });
  }
  x = normalised(x, pass.tape);
  if (hidden) hidden->push_back(x);
  out.logits = project(x, pass.tape);
  return out;
}

TextDecoder::State TextDecoder::begin(int64_t batch, int64_t token_capacity, int64_t state_capacity, std::vector<int32_t> lengths, std::vector<double> expected, int64_t beams) {
  State s;
  s.beams = beams, s.items = size_t(batch);
  std::vector<double> each;                                 // of every hypothesis
  for (size_t i = 0; i < expected.size() * size_t(beams); ++i) each.push_back(expected[i / size_t(beams)]);
  std::vector<double> source(lengths.begin(), lengths.end());
  if (source.empty()) source.assign(size_t(batch), double(state_capacity));
  for (Layer& layer : layers_) {
    s.self.push_back(layer.self.begin(context_, {.batch = batch * beams, .capacity = token_capacity, .lengths = {}, .extents = {each, each}}));
    s.cross.push_back(layer.cross.begin(context_, {.batch = batch, .capacity = state_capacity, .lengths = lengths, .extents = {source, expected}}));
  }
  return s;
}

bool TextDecoder::needs_target_length() const {
  return std::any_of(layers_.begin(), layers_.end(), [](const Layer& l) { return l.self.attention()->needs_target_length() || l.cross.attention()->needs_target_length(); });
}

void TextDecoder::read(State& state, const Tensor& memory) {
  for (size_t i = 0; i < layers_.size(); ++i) layers_[i].cross.append(*state.cross[i], memory);
  state.states += memory.size(1);
  if (!policy_) return;
  const int64_t width = policy_->pooling, in_window = (state.states - 1) % width + 1, n = memory.size(1);
  const Tensor window = context_.empty({memory.size(0), in_window, memory.size(2)}, memory.dtype());
  const int64_t fresh = std::min(n, in_window), old = in_window - fresh;
  if (old > 0) window.slice(1, 0, old).copy_from(state.window.slice(1, 0, old));
  window.slice(1, old, in_window).copy_from(memory.slice(1, n - fresh, n));
  state.window = window;
}

Tensor TextDecoder::step(State& state, const Tensor& ids, std::vector<PolicyVote>* votes) {
  const bool pre = config_.norm == "pre";
  const Pass pass;
  Variable pooled;
  std::vector<Variable> asked;                              // the policies' logits of each layer, read together at the end: a GPU is waited for once
  if (votes) {
    require(policy_.has_value(), "decoder: this model has no policies; choose --policy offline or waitk");
    pooled = avg_pool_time(Variable(state.window), {}, state.window.size(1));
    votes->clear();
  }
  Variable x = embed(ids.reshape({ids.count(), 1}), state.tokens, nullptr);
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    x = residual(x, layer.self_norm, pre, 0, pass, [&](const Variable& y) {
      layer.self.append(*state.self[i], y.value());
      return Variable(layer.self.step(*state.self[i], y.value(), state.tokens));
    });
    x = residual(x, layer.cross_norm, pre, 0, pass, [&](const Variable& y) {
      if (votes) asked.push_back(reshape(layer.policy.logits(y, pooled, nullptr), {1, policy_->heads}));
      return Variable(layer.cross.step(*state.cross[i], y.value(), state.tokens));
    });
    x = residual(x, layer.ffn_norm, pre, 0, pass, [&](const Variable& y) { return layer.ffn(y, 0, pass); });
  }
  if (votes) {
    const auto z = concat(asked, 0).value().values<double>();
    for (int64_t i = 0; i < int64_t(z.size()); ++i) votes->push_back({i / policy_->heads, i % policy_->heads, 1 / (1 + std::exp(-z[size_t(i)]))});
  }
  ++state.tokens;
  return project(normalised(x, nullptr), nullptr).value().reshape({ids.count(), config_.target_words});
}

void TextDecoder::undo(State& state) {
  for (auto& s : state.self) s->undo();
  --state.tokens;
}

void TextDecoder::reorder(State& state, std::span<const int32_t> rows) {
  for (auto& s : state.self) s->reorder(rows);
  std::vector<int32_t> items;
  for (size_t r = 0; r < rows.size(); r += size_t(state.beams)) items.push_back(rows[r] / int32_t(state.beams));
  if (items.size() == state.items) return;                  // every item is still there, in its place
  for (auto& s : state.cross) s->reorder(items);
  state.items = items.size();
}

namespace {

class DecoderSteps final : public StepDecoder {
 public:
  DecoderSteps(TextDecoder& decoder, TextDecoder::State state) : decoder_(decoder), state_(std::move(state)) {}
  Tensor step(const Tensor& last) override { return decoder_.step(state_, last); }
  void reorder(std::span<const int32_t> rows) override { decoder_.reorder(state_, rows); }

 private:
  TextDecoder& decoder_;
  TextDecoder::State state_;
};

}  // namespace

Generation TextDecoder::generate(const Tensor& memory, const std::vector<int32_t>& lengths, const std::vector<double>& expected, const GenerationConfig& config) {
  config.check();
  const GenerationConfig own = config.with_tokens(config_.bos_token, config_.eos_token, config_.pad_token);
  const int64_t B = memory.size(0), fed = std::min(own.longest() - 1, config_.max_positions);   // the last token is not
  State state = begin(B, fed, memory.size(1), lengths, expected, own.num_beams);
  read(state, memory);
  DecoderSteps steps(*this, std::move(state));
  return alinea::generate(steps, B, own);
}

void TextDecoder::visit(const std::string& prefix, const Visitor& v) {
  v(path(prefix, table_name_), embedding_);
  const std::string stack = path(prefix, "model.decoder");
  positions_.visit(stack, v);
  if (config_.embedding_norm) embedding_norm_.visit(path(stack, "layernorm_embedding"), v);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const std::string p = path(stack, fmt::format("layers.{}", i));
    Layer& layer = layers_[i];
    layer.self_norm.visit(path(p, "self_attn_layer_norm"), v);
    layer.self.visit(path(p, "self_attn"), v);
    layer.cross_norm.visit(path(p, "encoder_attn_layer_norm"), v);
    layer.cross.visit(path(p, "encoder_attn"), v);
    layer.ffn_norm.visit(path(p, "final_layer_norm"), v);
    layer.ffn.visit(p, v);
    if (policy_) layer.policy.visit(path(p, "policy"), v);
  }
  if (config_.norm == "pre") final_norm_.visit(path(stack, "layer_norm"), v);
  if (!config_.tie_embeddings) v(path(prefix, "lm_head.weight"), output_);
  if (config_.logits_bias) v(path(prefix, "final_logits_bias"), logits_bias_);
}

}  // namespace alinea
