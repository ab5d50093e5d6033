#include "apps/text_evaluate.h"

#include <algorithm>
#include <numeric>

#include "apps/batch.h"
#include "data/batches.h"
#include "data/scores/bleu.h"
#include "data/scores/chrf.h"
#include "models/hub/model_directory.h"

namespace alinea {

GenerationConfig for_language(GenerationConfig config, const Tokenizer& tokenizer, const std::string& target) {
  if (target.empty() && config.decoder_start_token_id) return config;
  const std::vector<int32_t> labels = tokenizer.frame({}, Side::target, language_code(tokenizer, target)), in = tokenizer.decoder_input(labels);
  config.decoder_start_token_id = in.front();
  if (labels.size() > 1 && labels.front() != tokenizer.special().end) config.forced_bos_token_id = labels.front();
  return config;
}

std::vector<std::string> translate_text(TextTransformer& model, const Tokenizer& tokenizer, const Languages& languages,
                                        std::span<const std::string> sentences, const GenerationConfig& settings, int64_t batch) {
  const GenerationConfig config = for_language(settings, tokenizer, languages.target);
  const std::string from = language_code(tokenizer, languages.source);
  std::vector<std::vector<int32_t>> ids;
  std::vector<size_t> order;
  for (const std::string& s : sentences) {
    ids.push_back(tokenizer.encode(s, Side::source));
    if (ids.back().empty()) continue;
    ids.back() = tokenizer.frame(std::move(ids.back()), Side::source, from);
    order.push_back(ids.size() - 1);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return ids[a].size() < ids[b].size(); });
  std::vector<std::string> out(sentences.size());
  for (size_t begin = 0; begin < order.size(); begin += size_t(batch)) {
    const size_t end = std::min(order.size(), begin + size_t(batch));
    std::vector<std::vector<int32_t>> some;
    for (size_t i = begin; i < end; ++i) some.push_back(ids[order[i]]);
    const SourceTokens source = source_tokens(some, model.config());
    const Generation translated = model.translate(source.ids, source.lengths, config);
    for (size_t i = begin; i < end; ++i) out[order[i]] = tokenizer.decode(translated.tokens(i - begin));
  }
  return out;
}

std::vector<std::string> translate_split(TextTransformer& model, const TextDataset& data,
                                         const GenerationConfig& config, int64_t limit) {
  std::vector<std::string> sources;
  for (int64_t i = 0; i < (limit > 0 ? std::min(limit, data.size()) : data.size()); ++i) sources.push_back(data.row(i).src_text);
  return translate_text(model, data.tokenizer(), {data.row(0).src_lang, data.row(0).tgt_lang}, sources, config);
}

GenerationConfig text_settings(const std::filesystem::path& directory) {
  if (std::filesystem::exists(directory / "generation_config.json")) return load_generation_config(directory);
  return {.max_length = 101};
}

double text_loss(TextTransformer& model, const TextDataset& data) {
  const auto lengths = data.lengths();
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return lengths[size_t(a)] < lengths[size_t(b)]; });
  double sum = 0, tokens = 0;
  for (const auto& places : plan_in_order(data.size(), 64)) {
    std::vector<int64_t> indices;
    for (const int64_t place : places) indices.push_back(order[size_t(place)]);
    const TextBatch batch = text_batch(data, indices, model.config());
    const double n = std::accumulate(batch.target_lengths.begin(), batch.target_lengths.end(), 0.0);
    sum += n * model.loss(batch, 0, {}).value().item();
    tokens += n;
  }
  return sum / tokens;
}

TextScores score_text(const std::vector<std::string>& hypotheses, const TextDataset& data) {
  std::vector<std::string> references;
  for (size_t i = 0; i < hypotheses.size(); ++i) references.push_back(data.row(int64_t(i)).tgt_text);
  return score_text(hypotheses, references);
}

TextScores score_text(const std::vector<std::string>& hypotheses, const std::vector<std::string>& references) {
  const std::vector<std::vector<std::string>> one{references};
  const BleuScore bleu = corpus_bleu(hypotheses, one);
  const ChrfScore chrf = corpus_chrf(hypotheses, one);
  return {bleu.score, chrf.score, bleu.signature, chrf.signature};
}

}  // namespace alinea
