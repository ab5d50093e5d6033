#include "data/scores/bleu.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <unordered_map>

#include "data/scores/bleu_tokenizers.h"
#include "data/scores/words.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

constexpr int orders = 4;
using Counts = std::unordered_map<std::string, int64_t>;

std::vector<std::string> words_of(const std::string& line, const BleuTokenizer& tokenizer, const BleuOptions& options) {
  const std::string_view stripped = strip(line, false, true);  // before tokenizing: a final "-\n" keeps its dash
  return split_words(tokenizer.tokenize(options.lowercase ? lower_case(stripped) : std::string(stripped)));
}

Counts ngrams(const std::vector<std::string>& words, int order) {
  Counts counts;
  for (size_t i = 0; i + size_t(order) <= words.size(); ++i) {
    std::string gram = words[i];
    for (int k = 1; k < order; ++k) gram += ' ' + words[i + size_t(k)];
    ++counts[gram];
  }
  return counts;
}

// Adds one sentence to the counts of `sum`.
void add_sentence(BleuScore& sum, const std::vector<std::string>& hypothesis, const std::vector<std::vector<std::string>>& references) {
  const int64_t length = int64_t(hypothesis.size());
  int64_t closest = -1;
  for (const auto& reference : references) {
    const int64_t r = int64_t(reference.size());
    const int64_t gap = std::abs(r - length), best = std::abs(closest - length);
    if (closest < 0 || gap < best || (gap == best && r < closest)) closest = r;
  }
  sum.hypothesis_length += length;
  sum.reference_length += closest;
  for (int order = 1; order <= orders; ++order) {
    Counts most;
    for (const auto& reference : references)
      for (const auto& [gram, count] : ngrams(reference, order)) most[gram] = std::max(most[gram], count);
    for (const auto& [gram, count] : ngrams(hypothesis, order)) {
      sum.total[size_t(order - 1)] += count;
      if (auto found = most.find(gram); found != most.end()) sum.correct[size_t(order - 1)] += std::min(count, found->second);
    }
  }
}

void finish(BleuScore& s, bool effective_order) {
  const double c = double(s.hypothesis_length), r = double(s.reference_length);
  s.brevity_penalty = c >= r ? 1.0 : c > 0 ? std::exp(1 - r / c) : 0.0;
  if (std::all_of(s.correct.begin(), s.correct.end(), [](int64_t n) { return n == 0; })) return;
  double halving = 1;
  int used = orders;
  for (int n = 0; n < orders && s.total[size_t(n)] > 0; ++n) {
    const double correct = double(s.correct[size_t(n)]), total = double(s.total[size_t(n)]);
    if (effective_order) used = n + 1;
    s.precisions[size_t(n)] = correct > 0 ? 100.0 * correct / total : 100.0 / ((halving *= 2) * total);
  }
  double logs = 0;
  for (int n = 0; n < used; ++n) logs += s.precisions[size_t(n)] > 0 ? std::log(s.precisions[size_t(n)]) : -9999999999.0;
  s.score = s.brevity_penalty * std::exp(logs / used);
}

}  // namespace

BleuScore corpus_bleu(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                      const BleuOptions& options) {
  require(!references.empty(), "BLEU: no references are given; at least one per hypothesis is needed");
  for (const auto& stream : references)
    require(stream.size() == hypotheses.size(), "BLEU: {} hypotheses but {} references; every line needs its counterpart",
            hypotheses.size(), stream.size());
  const BleuTokenizer& tokenizer = bleu_tokenizer(options.tokenizer);
  BleuScore s;
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    std::vector<std::vector<std::string>> all;
    for (const auto& stream : references) all.push_back(words_of(stream[i], tokenizer, options));
    add_sentence(s, words_of(hypotheses[i], tokenizer, options), all);
  }
  finish(s, options.effective_order);
  s.signature = fmt::format("nrefs:{}|case:{}|eff:{}|tok:{}|smooth:exp|version:{}", references.size(), options.lowercase ? "lc" : "mixed",
                            options.effective_order ? "yes" : "no", tokenizer.signature(), sacrebleu_version);
  return s;
}

BleuScore sentence_bleu(const std::string& hypothesis, const std::vector<std::string>& references, BleuOptions options) {
  options.effective_order = true;
  std::vector<std::vector<std::string>> streams;
  for (const auto& reference : references) streams.push_back({reference});
  return corpus_bleu(std::span(&hypothesis, 1), streams, options);
}

std::string BleuScore::text() const {
  const double ratio = reference_length ? double(hypothesis_length) / double(reference_length) : 0;
  return fmt::format("BLEU|{} = {:.2f} {:.1f}/{:.1f}/{:.1f}/{:.1f} (BP = {:.3f} ratio = {:.3f} hyp_len = {} ref_len = {})", signature,
                     score, precisions[0], precisions[1], precisions[2], precisions[3], brevity_penalty, ratio, hypothesis_length,
                     reference_length);
}

}  // namespace alinea
