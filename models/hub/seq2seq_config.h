// What Hugging Face's configurations of encoder-decoder models have in common: the keys of config.json with their meaning here, and the way
// to and from this program's configuration. A model's own struct (mbart.h, speech_to_text.h) gives the defaults and adds its keys.
#pragma once
#include "models/hub/config_text.h"
#include "models/transformer_config.h"

namespace alinea {

struct Seq2SeqConfig {
  std::string model_type, activation_function;
  std::vector<std::string> architectures;
  int64_t vocab_size = 0, d_model = 0, encoder_layers = 0, encoder_ffn_dim = 0, encoder_attention_heads = 0, decoder_layers = 0, decoder_ffn_dim = 0,
          decoder_attention_heads = 0;
  double encoder_layerdrop = 0, decoder_layerdrop = 0, dropout = 0.1, attention_dropout = 0, activation_dropout = 0;
  bool scale_embedding = false, tie_word_embeddings = true, is_encoder_decoder = true;
  int64_t pad_token_id = 1, bos_token_id = 0, eos_token_id = 2;
  std::optional<int64_t> decoder_start_token_id;
  /// What transformers does not know; under the key "alinea", which is written only where something differs from its default.
  struct Extras {
    AttentionConfig attention;
    TargetLengthConfig target_length;
    bool activation_checkpointing = false;
    void fields(Config& c);
    bool standard() const;
  } extras;

  void fields(Config& c);
  /// The keys in complaints about a file's settings.
  static SettingNames names(const char* place, const char* max_positions);
  /// The keys of a struct over those of `origin`, whose others stay: the text of config.json beside weights of type `dtype`.
  template <class Own>
  static std::string text_of(Own own, const JsonText& origin, DType dtype) {
    Config c;
    own.fields(c);
    return merged_config(origin, c, dtype);
  }

 protected:
  /// Into and from the settings that every transformer here has.
  void give(TransformerConfig& t) const;
  void take(const TransformerConfig& t);
};

}  // namespace alinea
