// Hugging Face directories of wav2vec 2.0: the bare model, with the CTC head, with the pre-training heads. One may be opened from another's
// file: what the model lacks in the file keeps its initial values where that is asked for, what the file has beyond the model is left aside.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/wav2vec2/ctc.h"
#include "models/wav2vec2/pretraining.h"

namespace alinea {

enum class Wav2Vec2Head { none, ctc, pretraining };

/// What `architectures` in config.json says (nothing: by the names in the weights).
Wav2Vec2Head wav2vec2_head_of(const std::filesystem::path& directory);
Wav2Vec2Config read_wav2vec2_config(const std::filesystem::path& directory);

/// Strict: the file holds exactly the model.
std::unique_ptr<Wav2Vec2> load_wav2vec2(const std::filesystem::path& directory, Context& context);
std::unique_ptr<Wav2Vec2ForCTC> load_wav2vec2_ctc(const std::filesystem::path& directory, Context& context);
std::unique_ptr<Wav2Vec2ForPreTraining> load_wav2vec2_pretraining(const std::filesystem::path& directory, Context& context);

/// Into a model that has its initial values, from any of the three kinds of file: heads and an adapter that the file lacks keep theirs, and so do those named
/// `fresh` ("lm_head"). Returns the names of what was kept.
std::vector<std::string> start_from_wav2vec2(Module& model, const std::filesystem::path& directory, const std::vector<std::string>& fresh = {});

/// config.json and model.safetensors. architecture: Wav2Vec2Model, Wav2Vec2ForCTC or Wav2Vec2ForPreTraining.
void save_wav2vec2(const std::filesystem::path& directory, Module& model, const Wav2Vec2Config& config, const std::string& architecture);

}  // namespace alinea
