// Hugging Face's SpeechEncoderDecoderModel of a wav2vec2 encoder and an mBART decoder: config.json with one configuration inside it for each.
#pragma once
#include <filesystem>

#include "models/hub/mbart.h"
#include "models/wav2vec2/config.h"

namespace alinea {

struct SpeechEncoderDecoderConfig {
  std::string model_type = "speech-encoder-decoder";
  Wav2Vec2Config encoder;
  MBartConfig decoder;
  int64_t pad_token_id = 1, eos_token_id = 2, decoder_start_token_id = 2;
  JsonText origin{"{}"};                                    // the file, whose other keys saving keeps

  void fields(Config& c);
  /// From a file's tree, which is kept whole as the origin.
  static SpeechEncoderDecoderConfig read(Config file);
  /// Of two directories put together, as transformers' from_encoder_decoder_pretrained does it.
  static SpeechEncoderDecoderConfig of_halves(const std::filesystem::path& encoder, const std::filesystem::path& decoder);
  /// Refuses halves that do not fit.
  void check() const;
  /// Whether the encoder's states pass a linear layer because the decoder is not as wide.
  bool has_projection() const { return encoder.output_size() != decoder.d_model; }
};

}  // namespace alinea
