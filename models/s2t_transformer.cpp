#include "models/s2t_transformer.h"

#include "autograd/cross_entropy.h"
#include "autograd/elementwise.h"
#include "autograd/latency.h"
#include "autograd/layout.h"
#include "autograd/reduce.h"
#include "models/hub/speech_to_text.h"

namespace alinea {

namespace {

HeadPooling pooling_named(const std::string& name) {
  if (name == "mean") return HeadPooling::mean;
  if (name == "max") return HeadPooling::max;
  if (name == "softmax") return HeadPooling::softmax;
  if (name == "softmax_stopgrad") return HeadPooling::softmax_stopgrad;
  fail(Exit::usage, "loss: latency_pooling '{}' is not mean, max, softmax or softmax_stopgrad", name);
}

S2TConfig checked(const S2TConfig& config) {
  config.check();
  if (config.model_type == "speech_to_text") Speech2TextConfig::of(config);
  return config;
}

}  // namespace

S2TTransformer::S2TTransformer(Context& context, const S2TConfig& config, RandomKey key)
    : config_(checked(config)), encoder_(context, config, key.child("encoder")), decoder_(context, config, key.child("decoder")) {
  if (config.source_words > 0) frame_classifier_ = LinearLayer(context, config.d_model, config.source_words, key.child("frame_classifier"));
  if (needs_target_length()) target_length_ = TargetLength(context, config, 0, key.child("target_length"));
  if (config.has_policy) decoder_.add_policies(config.policy, key.child("decoder").child("policy"));
}

void S2TTransformer::add_policies(const PolicyConfig& policy, RandomKey key) {
  config_.has_policy = true;
  config_.policy = policy;
  config_.check();
  decoder_.add_policies(policy, key.child("policy"));
}

void S2TTransformer::use_cross_attention(const AttentionChoice& choice) {
  config_.attention.decoder_cross = choice;
  decoder_.use_cross_attention(choice);
}

void S2TTransformer::set_dropout(double blocks, double attention, double activation) {
  config_.dropout = blocks;
  config_.attention_dropout = attention;
  config_.activation_dropout = activation;
  config_.check();
  encoder_.set_dropout(config_);
  decoder_.set_dropout(config_);
}

Variable S2TTransformer::encoder_loss(const S2TBatch& batch, const Variable& states, Tape* tape) {
  const int64_t rows = states.size(0) * states.size(1);
  require(batch.frame_labels && batch.frame_labels.count() == rows, "frame loss: needs one label per state, from the word times in the manifest; or set loss.frame to 0");
  require(config_.source_words > 0, "frame loss: the model has no frame classifier; set loss.frame to 0");
  const Variable logits = frame_classifier_(states, tape);
  return cross_entropy(reshape(logits, {rows, config_.source_words}), batch.frame_labels.reshape({rows}), CrossEntropy{});
}

void S2TTransformer::regularise(S2TLoss& loss, const std::vector<Variable>& alignments, const S2TBatch& batch, const std::vector<int32_t>& states,
                                const LossConfig& weights) const {
  std::vector<int32_t> columns = states;
  for (int32_t& n : columns) n = int32_t((n + config_.policy.pooling - 1) / config_.policy.pooling);
  const double seconds = seconds_per_decision(), layers = double(alignments.size());
  std::vector<Variable> lags;                               // [B, heads] per layer
  for (const Variable& alpha : alignments) {
    const Variable delay = expected_delay(alpha, columns);
    lags.push_back(weights.latency_metric == "DAL" ? differentiable_average_lagging(delay, columns, batch.target_lengths)
                                                   : average_lagging(delay, columns, batch.target_lengths));
    const Variable var = scale(mean(alignment_variance(alpha, columns, batch.target_lengths)), seconds * seconds / layers);
    loss.variance = loss.variance ? add(Variable(loss.variance), Variable(var.value())).value() : var.value();
    if (weights.variance != 0) loss.total = add(loss.total, scale(var, weights.variance));
  }
  const Variable lag = scale(mean(head_pool(concat(lags, 1), pooling_named(weights.latency_pooling))), seconds);
  loss.latency = lag.value();
  if (weights.latency != 0) loss.total = add(loss.total, scale(lag, weights.latency));
}

S2TLoss S2TTransformer::loss(const S2TBatch& batch, CrossAttention cross, const LossConfig& weights, const Pass& pass, int64_t wait_k, int64_t ratio) {
  const auto encoded = encoder_.forward(batch.features, batch.frames, pass.child("encoder"));
  Mask mask{.source_lengths = encoded.lengths};
  if (cross == CrossAttention::waitk) mask.rule = Mask::Rule::staircase, mask.wait_k = wait_k, mask.ratio = ratio;
  const auto decoded = decoder_.forward(batch.decoder_in, encoded.states, mask, cross == CrossAttention::monotonic, target_length_.training_extents(encoded.lengths, batch.target_lengths, pass),
                                        pass.child("decoder"));
  const int64_t rows = batch.labels.count();
  S2TLoss loss;
  loss.total = cross_entropy(reshape(decoded.logits, {rows, config_.target_words}), batch.labels.reshape({rows}), CrossEntropy{.smoothing = weights.smoothing});
  loss.cross_entropy = loss.total.value();
  if (weights.frame > 0 && encoded.states.needs_grad()) {
    const Variable frame = encoder_loss(batch, encoded.states, pass.tape);
    loss.frame = frame.value();
    loss.total = add(loss.total, scale(frame, weights.frame));
  }
  if (needs_target_length())
    if (const Variable length = target_length_.loss(encoded.states, encoded.lengths, batch.target_lengths, pass.child("target_length"))) loss.total = add(loss.total, length);
  if (cross == CrossAttention::monotonic) regularise(loss, decoded.alignments, batch, encoded.lengths, weights);
  return loss;
}

S2TTransformer::Output S2TTransformer::forward(const S2TBatch& batch, const Pass& pass, bool hidden_states) {
  Output out;
  auto encoded = encoder_.forward(batch.features, batch.frames, pass.child("encoder"), hidden_states ? &out.encoder_hidden : nullptr);
  const Extents extents = target_length_.training_extents(encoded.lengths, batch.target_lengths, pass);
  out.logits = decoder_.forward(batch.decoder_in, encoded.states, Mask{.source_lengths = encoded.lengths}, false, extents, pass.child("decoder"),
                                hidden_states ? &out.decoder_hidden : nullptr).logits;
  out.states = encoded.states, out.lengths = std::move(encoded.lengths);
  return out;
}

Generation S2TTransformer::translate(const Tensor& features, const std::vector<int32_t>& frames, const GenerationConfig& config) {
  const auto encoded = encoder_.forward(features, frames, {});
  const Tensor states = encoded.states.value();
  return decoder_.generate(states, encoded.lengths, needs_target_length() ? target_length_.predict(states, encoded.lengths, {}) : std::vector<double>(), config);
}

std::vector<Tensor> S2TTransformer::alignments(const Tensor& features, const std::vector<int32_t>& frames, const std::vector<int32_t>& tokens) {
  const auto encoded = encoder_.forward(features, frames, {});
  std::vector<int64_t> ids{config_.bos_token};
  ids.insert(ids.end(), tokens.begin(), tokens.end());
  const Mask mask{.source_lengths = encoded.lengths};
  const auto decoded = decoder_.forward(Context::cpu().from(ids.data(), {1, int64_t(ids.size())}), encoded.states, mask, true, {}, {});
  std::vector<Tensor> alpha;
  for (const Variable& a : decoded.alignments) alpha.push_back(a.value());
  return alpha;
}

void S2TTransformer::visit(const std::string& prefix, const Visitor& v) {
  encoder_.visit(path(prefix, "model.encoder"), v);
  decoder_.visit(prefix, v);
  if (config_.source_words > 0) frame_classifier_.visit(path(prefix, "frame_classifier"), v);
  target_length_.visit(path(prefix, "target_length"), v);
}

}  // namespace alinea
