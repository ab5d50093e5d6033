// Translating and scoring text.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/text_dataset.h"
#include "models/text_transformer.h"

namespace alinea {

struct TextScores {
  double bleu = 0, chrf = 0;  // sacreBLEU's corpus scores
  std::string bleu_signature, chrf_signature;
};

/// From and to; empty where the tokenizer knows best. Codes may be short: "de" for "de_DE".
struct Languages {
  std::string source, target;
};

/// The settings with the first tokens that the target language asks for: mBART starts with its code, mBART-50 writes it first.
GenerationConfig for_language(GenerationConfig config, const Tokenizer& tokenizer, const std::string& target);

/// Translations in the order of the sentences; an empty sentence stays empty. Sentences of like length are decoded together, `batch` at
/// once.
std::vector<std::string> translate_text(TextTransformer& model, const Tokenizer& tokenizer, const Languages& languages,
                                        std::span<const std::string> sentences, const GenerationConfig& config, int64_t batch = 64);
/// The sources of a split; limit: only the first, 0: all.
std::vector<std::string> translate_split(TextTransformer& model, const TextDataset& data,
                                         const GenerationConfig& config, int64_t limit);

/// generation_config.json of a model directory; without one up to 100 tokens greedily.
GenerationConfig text_settings(const std::filesystem::path& directory);

/// Mean cross entropy (natural logarithm, not smoothed) per target piece and end, teacher forced.
double text_loss(TextTransformer& model, const TextDataset& data);

TextScores score_text(const std::vector<std::string>& hypotheses, const std::vector<std::string>& references);
/// Against the references of the first hypotheses.size() rows.
TextScores score_text(const std::vector<std::string>& hypotheses, const TextDataset& data);

}  // namespace alinea
