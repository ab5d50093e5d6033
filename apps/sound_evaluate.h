// Whole utterances through a speech translation model that is made of Hugging Face's parts: sound as its feature extractor gives it, text as
// its tokenizer spells it.
#pragma once
#include <string>
#include <vector>

#include "apps/text_evaluate.h"
#include "data/wave_dataset.h"
#include "models/s2t_transformer.h"
#include "models/speech_translation.h"

namespace alinea {

/// What the decoder is to write for each utterance of a batch: framed as the tokenizer does it, in the language of its row.
std::vector<std::vector<int32_t>> sound_labels(const WaveDataset& data, const HostWaves& batch, const Tokenizer& tokenizer);

/// Mean cross entropy of a batch, smoothed over the vocabulary, and the labels it is the mean of.
struct SoundLoss {
  Variable mean;
  int64_t labels = 0;
};
/// Model: SpeechTranslation or S2TTransformer.
template <class Model>
SoundLoss sound_loss(Model& model, Context& context, const WaveDataset& data, const HostWaves& batch, const Tokenizer& tokenizer, double smoothing, const Pass& pass);

/// Texts of one batch, in its order.
template <class Model>
std::vector<std::string> translate_sounds(Model& model, Context& context, const HostWaves& batch, const Tokenizer& tokenizer, const GenerationConfig& config);

struct SoundScores {
  double loss = 0;  // mean cross entropy (natural logarithm, not smoothed) per label, teacher forced
  std::vector<std::string> hypotheses;
  TextScores text;
};
/// Of the first `utterances`; 0: all. Models that are told nothing of padding hear one utterance at a time.
template <class Model>
SoundScores evaluate_sounds(Model& model, Context& context, const WaveDataset& data, const Tokenizer& tokenizer, const GenerationConfig& config, int64_t utterances);

}  // namespace alinea
