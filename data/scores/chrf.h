// chrF and chrF++ (Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015; "chrF++", WMT 2017), equal to
// sacreBLEU.
//
//   P, R: precision and recall of n-grams, averaged over the orders that both sides have;  score = 100 · 5·P·R / (4·P + R)   (β = 2)
//
// Character n-grams of order 1..6 without white space; chrF++ adds word n-grams of order 1 and 2, with the last (else the first) character
// of a word cut off when it is ASCII punctuation. Counts are summed over the corpus; of several references the one with the best sentence
// score counts.
#pragma once
#include <span>
#include <string>
#include <vector>

namespace alinea {

struct ChrfScore {
  double score = 0;       // 0..100
  std::string signature;  // nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:…
  int word_order = 0;
  std::string text() const;  // "chrF2|signature = 45.67", "chrF2++|…" with words
};

/// word_order 0: chrF, 2: chrF++. Errors (usage): unequal lengths, no reference.
ChrfScore corpus_chrf(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references, int word_order = 0);

}  // namespace alinea
