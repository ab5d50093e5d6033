#include "models/text_transformer.h"

#include "autograd/cross_entropy.h"
#include "autograd/elementwise.h"
#include "autograd/embedding.h"
#include "autograd/layout.h"
#include "models/hub/mbart.h"

namespace alinea {

namespace {

TextConfig checked(const TextConfig& config) {
  config.check();
  if (config.model_type == "mbart") MBartConfig::of(config);
  return config;
}

}  // namespace

TextTransformer::TextTransformer(Context& context, const TextConfig& config, RandomKey key)
    : config_(checked(config)), encoder_(context, config, key.child("encoder")), decoder_(context, config, key.child("decoder"), config.share_embeddings ? "model.shared.weight" : "model.decoder.embed_tokens.weight") {
  if (!config.share_embeddings)
    source_embedding_ = normal_parameter(context, {config.source_words, config.d_model}, 1 / std::sqrt(double(config.d_model)), key.child("source_embedding"));
  if (config.model_type == "mbart" && !config.share_embeddings)
    unused_ = normal_parameter(context, {config.source_words, config.d_model}, 1 / std::sqrt(double(config.d_model)), key.child("unused"));
  rarity_ = {context.zeros({config.source_words}, DType::f32), {}, false, true};
  if (needs_target_length()) target_length_ = TargetLength(context, config, config.source_words, key.child("target_length"));
}

void TextTransformer::set_rarity(const std::vector<float>& rarity) {
  require(int64_t(rarity.size()) == config_.source_words, "text model: {} rarities for {} source tokens", rarity.size(), config_.source_words);
  rarity_.value.copy_from(rarity_.value.context().from(rarity.data(), rarity_.value.shape()));
}

Tensor TextTransformer::rarity_of(const Tensor& ids) const {
  return embedding(Variable(rarity_.value.reshape({config_.source_words, 1})), ids).value().reshape(ids.shape());
}

TextTransformer::Output TextTransformer::forward(const TextBatch& batch, const Pass& pass, bool hidden_states) {
  Output out;
  out.states = encoder_.forward(batch.source, batch.source_lengths, rarity_of(batch.source), source_table(), pass.child("encoder"),
                                hidden_states ? &out.encoder_hidden : nullptr);
  const Extents extents = target_length_.training_extents(batch.source_lengths, batch.target_lengths, pass);
  out.logits = decoder_.forward(batch.decoder_in, out.states, Mask{.source_lengths = batch.source_lengths}, false, extents, pass.child("decoder"),
                                hidden_states ? &out.decoder_hidden : nullptr).logits;
  return out;
}

Variable TextTransformer::loss(const TextBatch& batch, double smoothing, const Pass& pass) {
  const int64_t rows = batch.labels.count();
  const Output out = forward(batch, pass);
  const Variable words = cross_entropy(reshape(out.logits, {rows, config_.target_words}), batch.labels.reshape({rows}), CrossEntropy{.smoothing = smoothing});
  if (!needs_target_length()) return words;
  const Variable length = target_length_.loss(out.states, batch.source_lengths, batch.target_lengths, pass.child("target_length"));
  return length ? add(words, length) : words;
}

Generation TextTransformer::translate(const Tensor& source, const std::vector<int32_t>& lengths, const GenerationConfig& config) {
  const Tensor states = encoder_.forward(source, lengths, rarity_of(source), source_table(), {}).value();
  return decoder_.generate(states, lengths, needs_target_length() ? target_length_.predict(states, lengths, source) : std::vector<double>(), config);
}

void TextTransformer::set_dropout(double blocks, double attention, double activation) {
  config_.dropout = blocks;
  config_.attention_dropout = attention;
  config_.activation_dropout = activation;
  config_.check();
  encoder_.set_dropout(config_);
  decoder_.set_dropout(config_);
}

void TextTransformer::visit(const std::string& prefix, const Visitor& v) {
  if (!config_.share_embeddings) v(path(prefix, "model.encoder.embed_tokens.weight"), source_embedding_);
  if (unused_.value) v(path(prefix, "model.shared.weight"), unused_);
  encoder_.visit(path(prefix, "model.encoder"), v);
  decoder_.visit(prefix, v);
  v(path(prefix, "rarity"), rarity_);
  target_length_.visit(path(prefix, "target_length"), v);
}

}  // namespace alinea
