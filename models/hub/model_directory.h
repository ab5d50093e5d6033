// A model on disk: config.json, the weights and the vocabularies beside them. Loading is strict: missing, unexpected and misshapen tensors
// are listed, nothing is skipped. wav2vec 2.0 has its own doors in models/hub/wav2vec2.h.
#pragma once
#include <filesystem>
#include <memory>

#include "models/hub/weights.h"
#include "models/s2t_transformer.h"
#include "models/speech_translation.h"
#include "models/text_transformer.h"

namespace alinea {

/// The architecture that config.json names: alinea_s2t, alinea_text, or of Hugging Face's wav2vec2, mbart, speech_to_text and
/// speech-encoder-decoder.
std::string model_type_of(const std::filesystem::path& directory);
/// alinea_text or mbart: a TextTransformer.
bool is_text_model(const std::string& model_type);
/// config.json as a tree; errors name the directory.
Config model_config(const std::filesystem::path& directory);

void save_model(const std::filesystem::path& directory, S2TTransformer& model);
void save_model(const std::filesystem::path& directory, TextTransformer& model);
void save_model(const std::filesystem::path& directory, SpeechTranslation& model);

/// A speech model: alinea_s2t or speech_to_text. Another model_type is an error that names them. Of this and the two next: `matrices` is how the
/// weights of products and the tables of words are stored, f32, or bf16 for decoding alone (no gradients; arithmetic is f32 all the same).
std::unique_ptr<S2TTransformer> load_model(const std::filesystem::path& directory, Context& context, DType matrices = DType::f32);
S2TConfig read_speech_model_config(const std::filesystem::path& directory);
/// A text model: alinea_text or mbart.
std::unique_ptr<TextTransformer> load_text_model(const std::filesystem::path& directory, Context& context, DType matrices = DType::f32);
/// wav2vec2 with mBART's decoder: speech-encoder-decoder.
SpeechEncoderDecoderConfig read_speech_translation_config(const std::filesystem::path& directory);
std::unique_ptr<SpeechTranslation> load_speech_translation(const std::filesystem::path& directory, Context& context, DType matrices = DType::f32);
/// The same weights in a model with other settings, its dropout say.
std::unique_ptr<SpeechTranslation> load_speech_translation(const std::filesystem::path& directory, const SpeechEncoderDecoderConfig& config, Context& context,
                                                           DType matrices = DType::f32);
/// A new model of a wav2vec2 and the decoder of an mBART (SpeechEncoderDecoderConfig::of_halves). What neither has (the layer between them, an
/// adapter) is drawn by `key`.
std::unique_ptr<SpeechTranslation> join_speech_translation(const std::filesystem::path& encoder, const std::filesystem::path& decoder,
                                                           const SpeechEncoderDecoderConfig& config, Context& context, RandomKey key);

/// generation_config.json; where there is none, the settings in config.json; else the defaults.
GenerationConfig load_generation_config(const std::filesystem::path& directory);
void save_generation_config(const std::filesystem::path& directory, GenerationConfig config);

}  // namespace alinea
