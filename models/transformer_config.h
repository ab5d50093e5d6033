// What all transformers of this program are told: sizes, normalisation, dropout, attention families, the target vocabulary. The
// configuration of a model extends it with what it adds.
#pragma once
#include <algorithm>
#include <cmath>

#include "engine/core/config.h"
#include "engine/core/error.h"
#include "nn/attention/choice.h"

namespace alinea {

/// Which family serves each block: a name, {"name": …, options}, or a list with one of these per layer (`alinea explain attention`).
struct AttentionConfig {
  AttentionChoice encoder_self, decoder_self, decoder_cross;
  void fields(Config& c) {
    encoder_self.field(c, "encoder_self", "attention of the encoder: a family's name, {\"name\": …, options}, or a list with one per layer");
    decoder_self.field(c, "decoder_self", "attention of the decoder among its own tokens");
    decoder_cross.field(c, "decoder_cross", "attention of the decoder on the encoder's states; an EMMA model uses monotonic while it trains");
  }
};

/// How a decoder with cosFormer blocks foretells the target's length (models/target_length.h).
struct TargetLengthConfig {
  std::string kind = "ratio";
  double ratio = 0, dampening = 1, jitter = 1;
  int64_t width = 128;
  void fields(Config& c) {
    c.field("kind", kind, "ratio (target tokens per source position), table (a length per source token) or network (on the encoder's states)");
    c.field("ratio", ratio, "target tokens per source position; 0: the mean of the training data");
    c.field("dampening", dampening, "table: divides the sum");
    c.field("jitter", jitter, "training stretches real lengths by a random factor of up to this, so that the last position does not give the end away; 1: never");
    c.field("width", width, "network: channels of its convolutions");
  }
  void check(std::string_view place) const {
    require(kind == "ratio" || kind == "table" || kind == "network", "{}: target_length.kind '{}' is not ratio, table or network", place, kind);
    require(ratio >= 0 && dampening > 0 && jitter >= 1 && width > 0, "{}: target_length needs ratio ≥ 0, dampening > 0, jitter ≥ 1 and width > 0", place);
  }
};

/// What complaints call the settings: as the file spells them that they stand in.
struct SettingNames {
  const char *place = "model", *heads = "heads", *ffn = "ffn", *decoder_heads = "decoder_heads", *decoder_ffn = "decoder_ffn", *activation = "activation",
             *source_words = "source_words", *target_words = "target_words", *max_positions = "max_positions", *pad_token = "pad_token", *extras = "model";
};

struct TransformerConfig {
  std::string model_type;
  int64_t d_model = 128, heads = 4, ffn = 512, encoder_layers = 2, decoder_layers = 2, decoder_heads = 0, decoder_ffn = 0;
  std::string norm = "pre", activation = "relu";
  std::string positions = "sinusoid";
  bool scale_embedding = true, embedding_norm = false, tie_embeddings = true, logits_bias = false;
  double dropout = 0.1, attention_dropout = 0, activation_dropout = 0, encoder_layerdrop = 0, decoder_layerdrop = 0;
  bool activation_checkpointing = false;
  AttentionConfig attention;
  TargetLengthConfig target_length;
  int64_t source_words = 0, target_words = 0, max_positions = 2048;
  int64_t pad_token = 0, bos_token = 1, eos_token = 1;
  JsonText origin{"{}"};

  explicit TransformerConfig(std::string type) : model_type(std::move(type)) {}

  void fields(Config& c) {
    c.field("model_type", model_type, "names the architecture in the file: alinea_s2t (speech) or alinea_text; speech_to_text or mbart where it is saved for Hugging Face's transformers");
    c.field("d_model", d_model, "model width");
    c.field("heads", heads, "attention heads");
    c.field("ffn", ffn, "hidden width of the feed-forward layers");
    c.field("decoder_heads", decoder_heads, "attention heads of the decoder; 0: as many as heads");
    c.field("decoder_ffn", decoder_ffn, "hidden width of the decoder's feed-forward layers; 0: as ffn");
    c.field("encoder_layers", encoder_layers, "layers of the encoder");
    c.field("decoder_layers", decoder_layers, "layers of the decoder");
    c.field("norm", norm, "pre (normalise before each block) or post (after the residual sum)");
    c.field("activation", activation, "relu or gelu");
    c.field("positions", positions, "sinusoid, fairseq (sinusoids in halves, padding has none) or learned (a table of max_positions + 2 rows)");
    c.field("scale_embedding", scale_embedding, "token embeddings are multiplied by √d_model");
    c.field("embedding_norm", embedding_norm, "a layer norm behind embedding and position");
    c.field("tie_embeddings", tie_embeddings, "the output layer is the decoder's embedding table; else it has weights of its own");
    c.field("logits_bias", logits_bias, "a bias on the logits that is loaded and saved, never trained (mBART's final_logits_bias)");
    c.field("dropout", dropout, "on the embeddings and on each block's output");
    c.field("attention_dropout", attention_dropout, "on attention weights");
    c.field("activation_dropout", activation_dropout, "inside the feed-forward layers");
    c.field("encoder_layerdrop", encoder_layerdrop, "training leaves out each layer of the encoder with this probability");
    c.field("decoder_layerdrop", decoder_layerdrop, "the same of the decoder");
    c.field("activation_checkpointing", activation_checkpointing, "encoder layers are computed again in backward instead of kept: less memory, a third more time");
    c.field("attention", attention, "attention family per block");
    c.field("target_length", target_length, "of decoders that need to know it (cosformer blocks)");
    c.field("source_words", source_words, "size of the source vocabulary; of speech: classes of the frame classifier (with blank), 0: the model has none");
    c.field("target_words", target_words, "size of the target vocabulary");
    c.field("max_positions", max_positions, "longest sequence of states or tokens");
    c.field("pad_token", pad_token, "id that fills short sequences");
    c.field("bos_token", bos_token, "id that starts a target");
    c.field("eos_token", eos_token, "id that ends a sentence");
    c.field("origin", origin, "the Hugging Face config.json that the model was opened with: saving keeps its other keys");
  }
  int64_t heads_of_decoder() const { return decoder_heads > 0 ? decoder_heads : heads; }
  int64_t ffn_of_decoder() const { return decoder_ffn > 0 ? decoder_ffn : ffn; }
  double embedding_scale() const { return scale_embedding ? std::sqrt(double(d_model)) : 1; }
  /// Refuses impossible sizes by name: those that fit nowhere too, before anything is allocated.
  void check(const SettingNames& name = {}) const {
    const auto at_most = [&](std::string_view setting, int64_t value, int64_t largest) {
      require(value <= largest, "{}: {} {} is more than {}, the most that is accepted", name.place, setting, value, largest);
    };
    at_most("d_model", d_model, 1 << 16), at_most(name.ffn, ffn, 1 << 20), at_most(name.decoder_ffn, decoder_ffn, 1 << 20);
    at_most("encoder_layers", encoder_layers, 1000), at_most("decoder_layers", decoder_layers, 1000);
    at_most(name.source_words, source_words, 1 << 24), at_most(name.target_words, target_words, 1 << 24), at_most(name.max_positions, max_positions, 1 << 24);
    at_most(fmt::format("{} · d_model", name.max_positions), max_positions * d_model, 1 << 28);
    require(d_model > 0 && heads > 0 && d_model % heads == 0, "{}: {} {} must divide d_model {}", name.place, name.heads, heads, d_model);
    require(decoder_heads >= 0 && d_model % heads_of_decoder() == 0, "{}: {} {} must divide d_model {}", name.place, name.decoder_heads, decoder_heads, d_model);
    require(encoder_layers > 0 && decoder_layers > 0 && ffn > 0 && decoder_ffn >= 0, "{}: encoder_layers, decoder_layers and {} must be positive, {} not negative",
            name.place, name.ffn, name.decoder_ffn);
    require(target_words > 2, "{}: {} {} is too small; it counts pad, start/end and the words", name.place, name.target_words, target_words);
    require(norm == "pre" || norm == "post", "{}: norm '{}' is not pre or post", name.place, norm);
    require(activation == "relu" || activation == "gelu", "{}: {} '{}' is not relu or gelu", name.place, name.activation, activation);
    require(positions == "sinusoid" || positions == "fairseq" || positions == "learned", "{}: positions '{}' is not sinusoid, fairseq or learned", name.place, positions);
    require(max_positions > 0, "{}: {} {} must be positive", name.place, name.max_positions, max_positions);
    require(pad_token >= 0 && pad_token < target_words, "{}: {} {} is not one of the {} target words", name.place, name.pad_token, pad_token, target_words);
    target_length.check(name.extras);
    attention.encoder_self.check(fmt::format("{}.attention.encoder_self", name.extras), encoder_layers);
    attention.decoder_self.check(fmt::format("{}.attention.decoder_self", name.extras), decoder_layers);
    attention.decoder_cross.check(fmt::format("{}.attention.decoder_cross", name.extras), decoder_layers);
    for (const double rate : {dropout, attention_dropout, activation_dropout, encoder_layerdrop, decoder_layerdrop})
      require(rate >= 0 && rate < 1, "{}: dropout and layer drop rates must lie in [0, 1), not {}", name.place, rate);
  }
  void copy_dropout(const TransformerConfig& rates) {
    dropout = rates.dropout, attention_dropout = rates.attention_dropout, activation_dropout = rates.activation_dropout;
  }
};

}  // namespace alinea
