// Text-to-text transformer (Vaswani et al. 2017): token encoder, text decoder, label-smoothed cross entropy. With learned positions, a norm
// behind the embeddings and a bias on the logits it is mBART (models/hub/mbart.h).
#pragma once
#include "models/text_decoder.h"
#include "models/target_length.h"
#include "models/text_encoder.h"

namespace alinea {

struct TextConfig : TransformerConfig {
  bool share_embeddings = false;

  TextConfig() : TransformerConfig("alinea_text") {}
  void fields(Config& c) {
    TransformerConfig::fields(c);
    c.field("share_embeddings", share_embeddings, "one table embeds source and target; needs a joint vocabulary");
  }
  void check(const SettingNames& name = {}) const {
    TransformerConfig::check(name);
    require(source_words > 2, "model: {} {} is too small; it counts pad, end and the pieces", name.source_words, source_words);
    require(!share_embeddings || tie_embeddings, "model: share_embeddings needs tie_embeddings: one table embeds the source and the target and is the output layer");
    require(!share_embeddings || source_words == target_words, "model: share_embeddings needs one vocabulary, but source_words is {} and target_words {}; prepare the data with --joint",
            source_words, target_words);
  }
};

/// One batch. Sources end with the end token; labels hold -100 where nothing is to be learnt.
struct TextBatch {
  Tensor source;                                            // i64 [B,S]
  std::vector<int32_t> source_lengths;                      // tokens + end
  Tensor decoder_in, labels;                                // i64 [B,T]: start + tokens; tokens + end
  std::vector<int32_t> target_lengths;                      // tokens + end
};

class TextTransformer final : public Module {
 public:
  TextTransformer(Context& context, const TextConfig& config, RandomKey key);

  /// Mean cross entropy of the labels, smoothed over the vocabulary.
  Variable loss(const TextBatch& batch, double smoothing, const Pass& pass);
  /// What training data tells besides gradients: how rare each source token is (idf; −inf: never a column), how long targets are.
  void set_rarity(const std::vector<float>& rarity);
  /// As told, for ids of any shape.
  Tensor rarity_of(const Tensor& ids) const;
  TargetLength& target_length() { return target_length_; }
  bool needs_target_length() const { return decoder_.needs_target_length(); }
  /// Logits [B,T,V] of every target token, teacher forced.
  Variable logits(const TextBatch& batch, const Pass& pass) { return forward(batch, pass).logits; }
  struct Output {
    Variable states, logits;                                // [B,S,C], [B,T,V]
    std::vector<Variable> encoder_hidden, decoder_hidden;   // when asked for: what enters each layer, and what leaves the stack
  };
  Output forward(const TextBatch& batch, const Pass& pass, bool hidden_states = false);

  /// Translations of source ids i64 [B,S] (with their end token).
  Generation translate(const Tensor& source, const std::vector<int32_t>& lengths, const GenerationConfig& config);

  void set_dropout(double blocks, double attention, double activation);
  const TextConfig& config() const { return config_; }
  TextEncoder& encoder() { return encoder_; }
  TextDecoder& decoder() { return decoder_; }
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  Parameter& source_table() { return config_.share_embeddings ? decoder_.table() : source_embedding_; }
  TextConfig config_;
  TextEncoder encoder_;
  TextDecoder decoder_;
  Parameter source_embedding_;                              // [V,C], unless shared
  Parameter unused_;                                        // [V,C]: in files of an mBART with separate tables, read by nothing
  Parameter rarity_;                                        // fixed: [V]
  TargetLength target_length_;                              // of decoders that need it
};

}  // namespace alinea
