// A model on disk: config.json, model.safetensors and the vocabularies beside them. Loading is strict: missing, unexpected and misshapen
// tensors are listed, nothing is skipped.
#pragma once
#include <filesystem>
#include <memory>

#include "models/hub/weights.h"
#include "models/s2t_transformer.h"
#include "models/text_transformer.h"

namespace alinea {

/// The architecture that config.json names: alinea_s2t, alinea_text, or of Hugging Face's speech_to_text and mbart.
std::string model_type_of(const std::filesystem::path& directory);

void save_model(const std::filesystem::path& directory, S2TTransformer& model);
void save_model(const std::filesystem::path& directory, TextTransformer& model);
/// A speech model: alinea_s2t or speech_to_text. Another model_type is an error that names them.
std::unique_ptr<S2TTransformer> load_model(const std::filesystem::path& directory, Context& context);
/// A text model: alinea_text or mbart.
std::unique_ptr<TextTransformer> load_text_model(const std::filesystem::path& directory, Context& context);

}  // namespace alinea
