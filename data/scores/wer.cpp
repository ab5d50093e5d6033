#include "data/scores/wer.h"

#include <vector>

#include "data/scores/words.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

// Row by row over the reference; each cell keeps the counts of its cheapest path. Ties prefer a substitution, then a deletion.
template <class Sequence>
ErrorCounts align(const Sequence& hypothesis, const Sequence& reference) {
  const size_t n = hypothesis.size();
  std::vector<ErrorCounts> row(n + 1), next(n + 1);
  for (size_t j = 0; j <= n; ++j) row[j].insertions = int64_t(j);
  for (size_t i = 0; i < reference.size(); ++i) {
    next[0] = row[0];
    ++next[0].deletions;
    for (size_t j = 0; j < n; ++j) {
      ErrorCounts best = row[j], deleted = row[j + 1], inserted = next[j];
      best.substitutions += hypothesis[j] != reference[i];
      ++deleted.deletions;
      ++inserted.insertions;
      if (deleted.errors() < best.errors()) best = deleted;
      if (inserted.errors() < best.errors()) best = inserted;
      next[j + 1] = best;
    }
    row.swap(next);
  }
  row[n].reference_length = int64_t(reference.size());
  return row[n];
}

template <class One>
ErrorCounts sum(std::span<const std::string> hypotheses, std::span<const std::string> references, const char* name, One one) {
  require(hypotheses.size() == references.size(), "{}: {} hypotheses but {} references; every line needs its counterpart", name,
          hypotheses.size(), references.size());
  ErrorCounts all;
  for (size_t i = 0; i < hypotheses.size(); ++i) all += one(hypotheses[i], references[i]);
  return all;
}

}  // namespace

ErrorCounts& ErrorCounts::operator+=(const ErrorCounts& other) {
  substitutions += other.substitutions;
  deletions += other.deletions;
  insertions += other.insertions;
  reference_length += other.reference_length;
  return *this;
}

ErrorCounts word_errors(std::string_view hypothesis, std::string_view reference) {
  return align(split_words(hypothesis), split_words(reference));
}

ErrorCounts character_errors(std::string_view hypothesis, std::string_view reference) {
  return align(code_points(join_words(split_words(hypothesis))), code_points(join_words(split_words(reference))));
}

ErrorCounts word_error_rate(std::span<const std::string> hypotheses, std::span<const std::string> references) {
  return sum(hypotheses, references, "WER", word_errors);
}

ErrorCounts character_error_rate(std::span<const std::string> hypotheses, std::span<const std::string> references) {
  return sum(hypotheses, references, "CER", character_errors);
}

double exact_match(std::span<const std::string> hypotheses, std::span<const std::string> references) {
  require(hypotheses.size() == references.size(), "exact match: {} hypotheses but {} references; every line needs its counterpart",
          hypotheses.size(), references.size());
  int64_t same = 0;
  for (size_t i = 0; i < hypotheses.size(); ++i) same += split_words(hypotheses[i]) == split_words(references[i]);
  return hypotheses.empty() ? 0 : 100.0 * double(same) / double(hypotheses.size());
}

}  // namespace alinea
