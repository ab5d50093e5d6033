#include "models/hub/mbart.h"

namespace alinea {

MBartConfig::MBartConfig() {
  model_type = "mbart", activation_function = "gelu", architectures = {"MBartForConditionalGeneration"};
  vocab_size = 50265, d_model = 1024;
  encoder_layers = decoder_layers = 12, encoder_ffn_dim = decoder_ffn_dim = 4096, encoder_attention_heads = decoder_attention_heads = 16;
}

void MBartConfig::fields(Config& c) {
  Seq2SeqConfig::fields(c);
  c.field("max_position_embeddings", max_position_embeddings, "longest sequence; the table of positions has two more rows");
}

TextConfig MBartConfig::text() const {
  TextConfig t;
  give(t);
  t.source_words = vocab_size, t.max_positions = max_position_embeddings;
  t.share_embeddings = tie_word_embeddings;
  t.positions = "learned", t.embedding_norm = t.logits_bias = true;
  return t;
}

TransformerConfig MBartConfig::decoder() const {
  TransformerConfig t = text();
  t.logits_bias = false;
  return t;
}

TextConfig MBartConfig::read(Config file) {
  JsonText origin{file.dump()};                             // as written, before defaults are added
  MBartConfig own;
  own.fields(file);
  TextConfig t = own.text();
  t.origin = std::move(origin);
  return t;
}

MBartConfig MBartConfig::of(const TextConfig& t) {
  require(t.positions == "learned" && t.embedding_norm && t.logits_bias && t.share_embeddings == t.tie_embeddings && t.source_words == t.target_words,
          "model: model_type mbart needs positions learned, embedding_norm, logits_bias, share_embeddings and tie_embeddings both or neither, and one vocabulary; "
          "found positions {}, embedding_norm {}, logits_bias {}, share_embeddings {}, tie_embeddings {}, {} and {} words; or set model_type to alinea_text",
          t.positions, t.embedding_norm, t.logits_bias, t.share_embeddings, t.tie_embeddings, t.source_words, t.target_words);
  MBartConfig own;
  Config origin = Config::text(t.origin.text, "model.origin");
  own.fields(origin);
  own.take(t);
  own.max_position_embeddings = t.max_positions;
  return own;
}

}  // namespace alinea
