#include "models/hub/seq2seq_config.h"

namespace alinea {

void Seq2SeqConfig::Extras::fields(Config& c) {
  c.field("attention", attention, "attention family per block");
  c.field("target_length", target_length, "of decoders that need to know it (cosformer blocks)");
  c.field("activation_checkpointing", activation_checkpointing, "encoder layers are computed again in backward instead of kept");
}

bool Seq2SeqConfig::Extras::standard() const {
  const auto written = [](Extras e) {
    Config c;
    e.fields(c);
    return c.dump();
  };
  return written(*this) == written({});
}

void Seq2SeqConfig::fields(Config& c) {
  c.field("model_type", model_type, "the architecture");
  c.field("architectures", architectures, "classes of transformers");
  c.field("is_encoder_decoder", is_encoder_decoder, "the model has both");
  c.field("vocab_size", vocab_size, "rows of the embedding table");
  c.field("d_model", d_model, "model width");
  c.field("encoder_layers", encoder_layers, "layers of the encoder");
  c.field("encoder_ffn_dim", encoder_ffn_dim, "hidden width of the encoder's feed-forward layers");
  c.field("encoder_attention_heads", encoder_attention_heads, "attention heads of the encoder");
  c.field("decoder_layers", decoder_layers, "layers of the decoder");
  c.field("decoder_ffn_dim", decoder_ffn_dim, "hidden width of the decoder's feed-forward layers");
  c.field("decoder_attention_heads", decoder_attention_heads, "attention heads of the decoder");
  c.field("encoder_layerdrop", encoder_layerdrop, "training leaves out each layer of the encoder with this probability");
  c.field("decoder_layerdrop", decoder_layerdrop, "the same of the decoder");
  c.field("activation_function", activation_function, "gelu or relu");
  c.field("dropout", dropout, "on the embeddings and on each block's output");
  c.field("attention_dropout", attention_dropout, "on attention weights");
  c.field("activation_dropout", activation_dropout, "inside the feed-forward layers");
  c.field("scale_embedding", scale_embedding, "embeddings are multiplied by √d_model");
  c.field("tie_word_embeddings", tie_word_embeddings, "one table embeds and is the output layer");
  c.field("pad_token_id", pad_token_id, "id that fills short sequences");
  c.field("bos_token_id", bos_token_id, "id of the beginning");
  c.field("eos_token_id", eos_token_id, "id that ends a sentence");
  c.field("decoder_start_token_id", decoder_start_token_id, "id that starts a target");
  if (c.has("alinea") || !extras.standard()) c.field("alinea", extras, "what transformers does not know");
}

SettingNames Seq2SeqConfig::names(const char* place, const char* max_positions) {
  return {.place = place, .heads = "encoder_attention_heads", .ffn = "encoder_ffn_dim", .decoder_heads = "decoder_attention_heads", .decoder_ffn = "decoder_ffn_dim",
          .activation = "activation_function", .source_words = "vocab_size", .target_words = "vocab_size", .max_positions = max_positions, .pad_token = "pad_token_id",
          .extras = "alinea"};
}

void Seq2SeqConfig::give(TransformerConfig& t) const {
  t.model_type = model_type;
  t.d_model = d_model;
  t.encoder_layers = encoder_layers, t.heads = encoder_attention_heads, t.ffn = encoder_ffn_dim;
  t.decoder_layers = decoder_layers, t.decoder_heads = decoder_attention_heads, t.decoder_ffn = decoder_ffn_dim;
  t.encoder_layerdrop = encoder_layerdrop, t.decoder_layerdrop = decoder_layerdrop;
  t.norm = "pre";
  t.activation = activation_function;
  t.dropout = dropout, t.attention_dropout = attention_dropout, t.activation_dropout = activation_dropout;
  t.scale_embedding = scale_embedding, t.tie_embeddings = tie_word_embeddings;
  t.target_words = vocab_size;
  t.pad_token = pad_token_id, t.eos_token = eos_token_id, t.bos_token = decoder_start_token_id.value_or(bos_token_id);
  t.attention = extras.attention, t.target_length = extras.target_length, t.activation_checkpointing = extras.activation_checkpointing;
}

void Seq2SeqConfig::take(const TransformerConfig& t) {
  require(t.norm == "pre", "model: model_type {} normalises before each block; model.norm is '{}'", t.model_type, t.norm);
  model_type = t.model_type;
  d_model = t.d_model;
  encoder_layers = t.encoder_layers, encoder_attention_heads = t.heads, encoder_ffn_dim = t.ffn;
  decoder_layers = t.decoder_layers, decoder_attention_heads = t.heads_of_decoder(), decoder_ffn_dim = t.ffn_of_decoder();
  encoder_layerdrop = t.encoder_layerdrop, decoder_layerdrop = t.decoder_layerdrop;
  activation_function = t.activation;
  dropout = t.dropout, attention_dropout = t.attention_dropout, activation_dropout = t.activation_dropout;
  scale_embedding = t.scale_embedding, tie_word_embeddings = t.tie_embeddings;
  vocab_size = t.target_words;
  pad_token_id = t.pad_token, eos_token_id = t.eos_token;
  if (decoder_start_token_id.value_or(bos_token_id) != t.bos_token) decoder_start_token_id = t.bos_token;
  extras = {t.attention, t.target_length, t.activation_checkpointing};
}

}  // namespace alinea
