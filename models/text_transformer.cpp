#include "models/text_transformer.h"

#include "autograd/cross_entropy.h"
#include "autograd/layout.h"

namespace alinea {

namespace {

TextConfig checked(const TextConfig& config) {
  config.check();
  return config;
}

}  // namespace

TextTransformer::TextTransformer(Context& context, const TextConfig& config, RandomKey key)
    : config_(checked(config)), encoder_(context, config, key.child("encoder")), decoder_(context, config, key.child("decoder")) {
  if (!config.share_embeddings)
    source_embedding_ = normal_parameter(context, {config.source_words, config.d_model}, 1 / std::sqrt(double(config.d_model)),
                                         key.child("source_embedding"));
}

Variable TextTransformer::logits(const TextBatch& batch, const Pass& pass) {
  const Variable states = encoder_.forward(batch.source, batch.source_lengths, source_table(), pass.child("encoder"));
  return decoder_.forward(batch.decoder_in, states, Mask{.source_lengths = batch.source_lengths}, false, pass.child("decoder")).logits;
}

Variable TextTransformer::loss(const TextBatch& batch, double smoothing, const Pass& pass) {
  const int64_t rows = batch.labels.count();
  return cross_entropy(reshape(logits(batch, pass), {rows, config_.target_words}), batch.labels.reshape({rows}),
                       CrossEntropy{.smoothing = smoothing});
}

std::vector<std::vector<int32_t>> TextTransformer::translate(const Tensor& source, const std::vector<int32_t>& lengths,
                                                             const GenerationOptions& options) {
  return decoder_.generate(encoder_.forward(source, lengths, source_table(), {}).value(), lengths, options);
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
  if (!config_.share_embeddings) v(path(prefix, "source_embedding"), source_embedding_);
  encoder_.visit(path(prefix, "encoder"), v);
  decoder_.visit(path(prefix, "decoder"), v);
}

}  // namespace alinea
