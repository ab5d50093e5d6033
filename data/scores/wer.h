// Word and character error rate: 100 · (substitutions + deletions + insertions) / reference length, errors by the cheapest alignment
// (Levenshtein), summed over the corpus. Text is compared as it stands: no lower-casing, no removal of punctuation.
// And exact match: the share of sentences whose words are the reference's.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace alinea {

struct ErrorCounts {
  int64_t substitutions = 0, deletions = 0, insertions = 0, reference_length = 0;
  int64_t errors() const { return substitutions + deletions + insertions; }
  double rate() const {
    return reference_length ? 100.0 * double(errors()) / double(reference_length) : (errors() ? 100.0 : 0.0);
  }  // percent
  ErrorCounts& operator+=(const ErrorCounts& other);
};

ErrorCounts word_errors(std::string_view hypothesis, std::string_view reference);
ErrorCounts character_errors(std::string_view hypothesis, std::string_view reference);  // white space runs count as one character

/// Sums over a corpus. Error (usage): unequal lengths.
ErrorCounts word_error_rate(std::span<const std::string> hypotheses, std::span<const std::string> references);
ErrorCounts character_error_rate(std::span<const std::string> hypotheses, std::span<const std::string> references);

/// Percent of sentences that agree word for word (white space aside). An empty corpus gives 0.
double exact_match(std::span<const std::string> hypotheses, std::span<const std::string> references);

}  // namespace alinea
