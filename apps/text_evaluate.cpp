#include "apps/text_evaluate.h"

#include <algorithm>
#include <numeric>

#include "apps/batch.h"
#include "data/batches.h"
#include "data/scores/bleu.h"
#include "data/scores/chrf.h"

namespace alinea {

std::vector<std::string> translate_text(TextTransformer& model, Context& context, const SubwordPair& subwords,
                                        std::span<const std::string> sentences, const GenerationConfig& config, int64_t batch) {
  std::vector<std::vector<int32_t>> ids;
  std::vector<size_t> order;
  for (const std::string& s : sentences) {
    ids.push_back(subwords.source.encode(s));
    if (!ids.back().empty()) order.push_back(ids.size() - 1);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return ids[a].size() < ids[b].size(); });
  std::vector<std::string> out(sentences.size());
  for (size_t begin = 0; begin < order.size(); begin += size_t(batch)) {
    const size_t end = std::min(order.size(), begin + size_t(batch));
    std::vector<std::vector<int32_t>> some;
    for (size_t i = begin; i < end; ++i) some.push_back(ids[order[i]]);
    const SourceTokens source = source_tokens(some, context, model.config());
    const Generation translated = model.translate(source.ids, source.lengths, config);
    for (size_t i = begin; i < end; ++i) out[order[i]] = subwords.target.decode(translated.tokens(i - begin));
  }
  return out;
}

std::vector<std::string> translate_split(TextTransformer& model, Context& context, const TextDataset& data,
                                         const GenerationConfig& config, int64_t limit) {
  std::vector<std::string> sources;
  for (int64_t i = 0; i < (limit > 0 ? std::min(limit, data.size()) : data.size()); ++i) sources.push_back(data.row(i).src_text);
  return translate_text(model, context, data.subwords(), sources, config);
}

double text_loss(TextTransformer& model, Context& context, const TextDataset& data) {
  const auto lengths = data.lengths();
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return lengths[size_t(a)] < lengths[size_t(b)]; });
  double sum = 0, tokens = 0;
  for (const auto& places : plan_in_order(data.size(), 64)) {
    std::vector<int64_t> indices;
    for (const int64_t place : places) indices.push_back(order[size_t(place)]);
    const TextBatch batch = text_batch(data, indices, context, model.config());
    const double n = std::accumulate(batch.target_lengths.begin(), batch.target_lengths.end(), 0.0);
    sum += n * model.loss(batch, 0, {}).value().item();
    tokens += n;
  }
  return sum / tokens;
}

TextScores score_text(const std::vector<std::string>& hypotheses, const TextDataset& data) {
  std::vector<std::string> references;
  for (size_t i = 0; i < hypotheses.size(); ++i) references.push_back(data.row(int64_t(i)).tgt_text);
  const std::vector<std::vector<std::string>> one{references};
  const BleuScore bleu = corpus_bleu(hypotheses, one);
  const ChrfScore chrf = corpus_chrf(hypotheses, one);
  return {bleu.score, chrf.score, bleu.signature, chrf.signature};
}

}  // namespace alinea
