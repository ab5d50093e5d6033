#include "data/scores/chrf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <unordered_map>

#include "data/scores/bleu.h"
#include "data/scores/words.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

constexpr int character_orders = 6;
using Counts = std::unordered_map<std::u32string, int64_t>;
struct Triple {
  int64_t hypothesis = 0, reference = 0, match = 0;
};
using Statistics = std::vector<Triple>;  // one per order: characters, then words

bool is_punctuation(char32_t c) {
  return c < 128 && std::u32string_view(U"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~").find(c) != std::u32string_view::npos;
}

std::vector<std::u32string> words_for_ngrams(const std::string& text) {
  std::vector<std::u32string> words;
  for (const auto& word : split_words(text)) {
    const std::u32string w = code_points(word);
    if (w.size() > 1 && is_punctuation(w.back()))
      words.insert(words.end(), {w.substr(0, w.size() - 1), w.substr(w.size() - 1)});
    else if (w.size() > 1 && is_punctuation(w.front()))
      words.insert(words.end(), {w.substr(0, 1), w.substr(1)});
    else
      words.push_back(w);
  }
  return words;
}

std::vector<Counts> count_all(const std::string& text, int word_order) {
  std::u32string characters;
  for (const char32_t c : code_points(text))
    if (!is_white_space(c)) characters += c;
  std::vector<Counts> all(size_t(character_orders + word_order));
  for (size_t n = 1; n <= size_t(character_orders); ++n)
    for (size_t i = 0; i + n <= characters.size(); ++i) ++all[n - 1][characters.substr(i, n)];
  const auto words = words_for_ngrams(text);
  for (size_t n = 1; n <= size_t(word_order); ++n)
    for (size_t i = 0; i + n <= words.size(); ++i) {
      std::u32string gram = words[i];
      for (size_t k = 1; k < n; ++k) gram += U' ' + words[i + k];
      ++all[size_t(character_orders) + n - 1][gram];
    }
  return all;
}

Statistics compare(const std::vector<Counts>& hypothesis, const std::vector<Counts>& reference) {
  Statistics all(hypothesis.size());
  for (size_t n = 0; n < all.size(); ++n) {
    for (const auto& [gram, count] : reference[n]) all[n].reference += count;
    for (const auto& [gram, count] : hypothesis[n]) {
      if (!reference[n].empty()) all[n].hypothesis += count;
      if (auto found = reference[n].find(gram); found != reference[n].end()) all[n].match += std::min(count, found->second);
    }
  }
  return all;
}

double f_score(const Statistics& all) {
  double precision = 0, recall = 0;
  int orders = 0;
  for (const auto& t : all)
    if (t.hypothesis > 0 && t.reference > 0) {
      precision += double(t.match) / double(t.hypothesis);
      recall += double(t.match) / double(t.reference);
      ++orders;
    }
  if (precision + recall == 0) return 0;
  precision /= orders;
  recall /= orders;
  return 100 * (5 * precision * recall / (4 * precision + recall));
}

}  // namespace

ChrfScore corpus_chrf(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references, int word_order) {
  require(!references.empty(), "chrF: no references are given; at least one per hypothesis is needed");
  for (const auto& stream : references)
    require(stream.size() == hypotheses.size(), "chrF: {} hypotheses but {} references; every line needs its counterpart",
            hypotheses.size(), stream.size());
  Statistics sum(size_t(character_orders + word_order));
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    const auto hypothesis = count_all(hypotheses[i], word_order);
    Statistics best;
    double best_score = -1;
    for (const auto& stream : references) {
      Statistics one = compare(hypothesis, count_all(stream[i], word_order));
      const double score = f_score(one);
      if (score > best_score) best = std::move(one), best_score = score;
    }
    for (size_t n = 0; n < sum.size(); ++n) {
      sum[n].hypothesis += best[n].hypothesis;
      sum[n].reference += best[n].reference;
      sum[n].match += best[n].match;
    }
  }
  return {f_score(sum),
          fmt::format("nrefs:{}|case:mixed|eff:yes|nc:6|nw:{}|space:no|version:{}", references.size(), word_order, sacrebleu_version),
          word_order};
}

std::string ChrfScore::text() const { return fmt::format("chrF2{}|{} = {:.2f}", std::string(size_t(word_order), '+'), signature, score); }

}  // namespace alinea
