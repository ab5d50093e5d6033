// Corpus BLEU (Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002), equal to sacreBLEU
// (Post, "A call for clarity in reporting BLEU scores", WMT 2018) to the last printed digit.
//
//   score = BP · exp( (1/4) Σ_{n=1..4} log p_n ),   p_n = 100 · matched n-grams / n-grams of the hypotheses, summed over the corpus
//   BP = 1 if c ≥ r, else exp(1 − r/c);  c: hypothesis words, r: words of the closest reference (the shorter one of two equally close)
//
// A matched n-gram counts at most as often as in the reference that has it most. Smoothing "exp" (NIST): the k-th order without a match
// gets p_n = 100 / (2^k · n-grams). A corpus without any match scores 0, and so does one too short for 4-grams unless effective_order is
// on.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace alinea {

struct BleuOptions {
  std::string tokenizer = "13a";  // one of bleu_tokenizers()
  bool lowercase = false;
  bool effective_order = false;  // average only over the orders that occur; for single sentences
};

struct BleuScore {
  double score = 0, brevity_penalty = 1;                // score in 0..100
  std::array<double, 4> precisions{};                   // in percent
  std::array<int64_t, 4> correct{}, total{};            // n-grams
  int64_t hypothesis_length = 0, reference_length = 0;  // words
  std::string signature;                                // nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:…
  std::string text() const;  // "BLEU|signature = 27.30 60.1/33.2/… (BP = 1.000 ratio = 1.010 hyp_len = 61 ref_len = 60)"
};

/// `references` holds one or more streams, each as long as `hypotheses`. Errors (usage): unequal lengths, no reference, unknown tokenizer.
BleuScore corpus_bleu(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                      const BleuOptions& options = {});

/// One sentence, effective order on.
BleuScore sentence_bleu(const std::string& hypothesis, const std::vector<std::string>& references, BleuOptions options = {});

/// The sacreBLEU release that the figures equal; part of every signature.
inline constexpr std::string_view sacrebleu_version = "2.6.0";

}  // namespace alinea
