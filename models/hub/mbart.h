// mBART (Liu et al. 2020, "Multilingual denoising pre-training for neural machine translation") as Hugging Face's transformers store it.
// The model is TextTransformer: layers that normalise first, learned positions, a norm behind the embeddings, a bias on the logits.
#pragma once
#include "models/hub/seq2seq_config.h"
#include "models/text_transformer.h"

namespace alinea {

/// config.json with model_type mbart; the defaults are MBartConfig's in transformers.
struct MBartConfig : Seq2SeqConfig {
  int64_t max_position_embeddings = 1024;

  MBartConfig();
  void fields(Config& c);
  static SettingNames names(const char* place = "model") { return Seq2SeqConfig::names(place, "max_position_embeddings"); }
  /// The whole model's settings. Tied: one table for source, target and output; else three.
  TextConfig text() const;
  /// Those of the decoder alone (MBartForCausalLM), which has no bias on its logits; for TextDecoder.
  TransformerConfig decoder() const;
  /// From a file's tree, which is kept whole as the origin.
  static TextConfig read(Config file);
  /// The keys of a model: over those it was opened with. A model that is no mBART is refused with what differs.
  static MBartConfig of(const TextConfig& config);
};

}  // namespace alinea
