// Translation edit rate (Snover et al., "A study of translation edit rate with targeted human annotation", AMTA 2006), equal to sacreBLEU,
// which follows Tercom:  100 · edits / mean length of the references, both summed over the corpus.
//
// Edits are insertions, deletions, substitutions and shifts of word sequences; a shift costs 1. Shifts are found greedily: as long as one of them
// brings the edit distance down, the one that brings it down most is made (of equals: the longest, the earliest, the one to the earliest
// place). Only sequences of up to 10 words that occur in the reference at most 50 words away are tried, where both sides are wrong.
// Of several references the one with the fewest edits counts. Words are cut at white space, in lower case.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace alinea {

struct TerScore {
  double score = 0;  // percent
  int64_t edits = 0;
  double reference_length = 0;
  std::string signature;  // nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:…
  std::string text() const;
};

/// Errors (usage): unequal lengths, no reference.
TerScore corpus_ter(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references, bool case_sensitive = false);

/// Edits of one sentence, words given. An empty reference: every word of the hypothesis is one edit.
int64_t translation_edits(const std::vector<std::string>& hypothesis, const std::vector<std::string>& reference);

}  // namespace alinea
