#include "data/scores/bleu.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <unordered_map>

#include "data/scores/words.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

constexpr int orders = 4;
using Counts = std::unordered_map<std::string, int64_t>;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size()) text.replace(at, from.size(), to);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Symbols that always stand alone: { to ~, [ to `, space to &, ( to +, : to @, and /.
bool always_alone(char c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || (c >= ':' && c <= '@') ||
         c == '/';
}

// One pass of a two-character rule over the text, left to right without overlap: where matches(a, b), put "a b" with spaces by the rule.
// Working on bytes is safe: a byte of a longer UTF-8 sequence is neither digit nor punctuation and stays with its neighbours.
template <class Match>
std::string separate(const std::string& text, Match matches, bool before, bool after) {
  std::string out;
  out.reserve(text.size() + 16);
  for (size_t i = 0; i < text.size();) {
    if (i + 1 == text.size() || !matches(text[i], text[i + 1])) {
      out += text[i++];
      continue;
    }
    if (before) out += ' ';
    out += text[i];
    out += ' ';
    out += text[i + 1];
    if (after) out += ' ';
    i += 2;
  }
  return out;
}

// The rules of mteval-v13a for European languages.
std::string tokenize_13a(std::string_view line) {
  std::string text = " " + std::string(line) + " ";
  replace_all(text, "<skipped>", "");
  replace_all(text, "-\n", "");
  replace_all(text, "\n", " ");
  replace_all(text, "&quot;", "\"");
  replace_all(text, "&amp;", "&");
  replace_all(text, "&lt;", "<");
  replace_all(text, "&gt;", ">");
  std::string spaced;
  for (const char c : text) always_alone(c) ? (spaced += ' ', spaced += c, spaced += ' ') : spaced += c;
  auto stop = [](char c) { return c == '.' || c == ','; };
  spaced = separate(
      spaced, [&](char a, char b) { return !is_digit(a) && stop(b); }, false, true);
  spaced = separate(
      spaced, [&](char a, char b) { return stop(a) && !is_digit(b); }, true, false);
  return separate(
      spaced, [](char a, char b) { return is_digit(a) && b == '-'; }, false, true);
}

std::string tokenize_none(std::string_view line) { return std::string(line); }

std::string tokenize_char(std::string_view line) {
  std::string text;
  for (const char32_t c : code_points(line)) text += utf8(c) + " ";
  return text;
}

constexpr BleuTokenizer tokenizers[] = {
    {"13a", "mteval-v13a's rules for European languages", tokenize_13a},
    {"none", "the text is cut at white space only", tokenize_none},
    {"char", "every character is a word", tokenize_char},
};

std::vector<std::string> words_of(const std::string& line, const BleuTokenizer& tokenizer, const BleuOptions& options) {
  std::u32string points = code_points(line);
  while (!points.empty() && is_white_space(points.back())) points.pop_back();  // before tokenizing: a final "-\n" keeps its dash
  std::string stripped;
  for (const char32_t c : points) stripped += utf8(c);
  return split_words(tokenizer.tokenize(options.lowercase ? lower_case(stripped) : stripped));
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

const BleuTokenizer& find_tokenizer(std::string_view name) {
  std::string known;
  for (const auto& tokenizer : tokenizers) {
    if (tokenizer.name == name) return tokenizer;
    known += fmt::format(" {}", tokenizer.name);
  }
  fail(Exit::usage, "BLEU: unknown tokenizer \"{}\"; known are{}", name, known);
}

}  // namespace

std::span<const BleuTokenizer> bleu_tokenizers() { return tokenizers; }

BleuScore corpus_bleu(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                      const BleuOptions& options) {
  require(!references.empty(), "BLEU: no references are given; at least one per hypothesis is needed");
  for (const auto& stream : references)
    require(stream.size() == hypotheses.size(), "BLEU: {} hypotheses but {} references; every line needs its counterpart",
            hypotheses.size(), stream.size());
  const BleuTokenizer& tokenizer = find_tokenizer(options.tokenizer);
  BleuScore s;
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    std::vector<std::vector<std::string>> all;
    for (const auto& stream : references) all.push_back(words_of(stream[i], tokenizer, options));
    add_sentence(s, words_of(hypotheses[i], tokenizer, options), all);
  }
  finish(s, options.effective_order);
  s.signature = fmt::format("nrefs:{}|case:{}|eff:{}|tok:{}|smooth:exp|version:{}", references.size(), options.lowercase ? "lc" : "mixed",
                            options.effective_order ? "yes" : "no", tokenizer.name, sacrebleu_version);
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
