// Translating and scoring text.
#pragma once
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

/// Translations in the order of the sentences; an empty sentence stays empty. Sentences of like length are decoded together, `batch` at
/// once.
std::vector<std::string> translate_text(TextTransformer& model, Context& context, const SubwordPair& subwords,
                                        std::span<const std::string> sentences, const GenerationConfig& config, int64_t batch = 64);
/// The sources of a split; limit: only the first, 0: all.
std::vector<std::string> translate_split(TextTransformer& model, Context& context, const TextDataset& data,
                                         const GenerationConfig& config, int64_t limit);

/// Mean cross entropy (natural logarithm, not smoothed) per target piece and end, teacher forced.
double text_loss(TextTransformer& model, Context& context, const TextDataset& data);

/// Against the references of the first hypotheses.size() rows.
TextScores score_text(const std::vector<std::string>& hypotheses, const TextDataset& data);

}  // namespace alinea
