#include "models/hub/speech_encoder_decoder.h"

#include <nlohmann/json.hpp>

#include "models/hub/config_text.h"

namespace alinea {

void SpeechEncoderDecoderConfig::fields(Config& c) {
  c.field("model_type", model_type, "speech-encoder-decoder");
  c.field("encoder", encoder, "wav2vec2, as its own config.json would have it");
  c.field("decoder", decoder, "mBART's decoder, as its own config.json would have it");
  c.field("pad_token_id", pad_token_id, "id that fills short sequences");
  c.field("eos_token_id", eos_token_id, "id that ends a sentence");
  c.field("decoder_start_token_id", decoder_start_token_id, "id that starts a target");
}

SpeechEncoderDecoderConfig SpeechEncoderDecoderConfig::read(Config file) {
  SpeechEncoderDecoderConfig config;
  config.origin.text = file.dump();
  for (const char* half : {"encoder", "decoder"}) require_data(file.has(half), "config.json: there is no '{}'; a speech-encoder-decoder has both halves", half);
  config.fields(file);
  return config;
}

SpeechEncoderDecoderConfig SpeechEncoderDecoderConfig::of_halves(const std::filesystem::path& encoder, const std::filesystem::path& decoder) {
  const auto half = [](const std::filesystem::path& directory) {
    return of_file(directory / "config.json", [&] { return nlohmann::ordered_json::parse(Config::file(directory / "config.json").dump()); });
  };
  nlohmann::ordered_json all = {{"architectures", {"SpeechEncoderDecoderModel"}}, {"model_type", SpeechEncoderDecoderConfig().model_type}, {"is_encoder_decoder", true},
                                {"tie_word_embeddings", false}, {"encoder", half(encoder)}, {"decoder", half(decoder)}};
  auto& text = all["decoder"];
  text.update({{"is_decoder", true}, {"add_cross_attention", true}, {"is_encoder_decoder", false}});
  const MBartConfig defaults;
  all["pad_token_id"] = text.value("pad_token_id", defaults.pad_token_id);
  all["eos_token_id"] = text.value("eos_token_id", defaults.eos_token_id);
  const auto start = text.find("decoder_start_token_id");
  all["decoder_start_token_id"] = start == text.end() || start->is_null() ? all["eos_token_id"] : *start;
  return read(Config::text(all.dump(), encoder.string() + " and " + decoder.string()));
}

void SpeechEncoderDecoderConfig::check() const {
  require_data(encoder.model_type == "wav2vec2" && decoder.model_type == "mbart", "config.json: encoder '{}' and decoder '{}' are not supported together; wav2vec2 and mbart are",
               encoder.model_type, decoder.model_type);
  encoder.check();
  decoder.decoder().check(MBartConfig::names("decoder"));
  require_data(!has_projection() || encoder.output_size() == encoder.hidden_size,
               "config.json: the adapter gives {} channels, the decoder is {} wide, and transformers' enc_to_dec_proj takes hidden_size ({}); set output_hidden_size to one of the two",
               encoder.output_size(), decoder.d_model, encoder.hidden_size);
}

}  // namespace alinea
