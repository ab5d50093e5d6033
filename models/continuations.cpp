#include "models/continuations.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/replace_elements.h"
#include "engine/ops/top_k.h"

namespace alinea {

namespace {

/// Tokens of one row that the rules change, with the logits that the model gave them.
struct Apart {
  std::vector<TokenRules::Change> changes;
  std::vector<double> logits;
};

// Of every row. From now on their logits are −inf.
std::vector<Apart> take_out(const Tensor& logits, std::span<const std::vector<int32_t>> sequences, const TokenRules& rules) {
  const int64_t words = logits.size(1);
  std::vector<Apart> apart;
  std::vector<int64_t> places;
  for (const auto& sequence : sequences) {
    const int64_t row = int64_t(apart.size()) * words;
    for (const TokenRules::Change& c : apart.emplace_back(rules.changes(sequence), std::vector<double>()).changes) {
      require(c.token < words, "generation: token {} is beyond the model's {} words; check the token ids of the generation configuration", c.token, words);
      places.push_back(row + c.token);
    }
  }
  const std::vector<double> taken = replace_elements(logits, places, -std::numeric_limits<double>::infinity());
  auto next = taken.begin();
  for (Apart& a : apart) a.logits.assign(next, next + int64_t(a.changes.size())), next += int64_t(a.changes.size());
  return apart;
}

double with_apart(double log_sum, const Apart& apart) {
  double most = log_sum, total = 0;
  for (const double x : apart.logits) most = std::max(most, x);
  for (const double x : apart.logits) total += std::exp(x - most);
  return apart.logits.empty() ? log_sum : most + std::log(total + std::exp(log_sum - most));
}

std::vector<Continuation> joined(std::span<const TopK::Entry> best, const Apart& apart, const TokenRules& rules, double log_sum, size_t count) {
  std::vector<Continuation> all;
  for (const TopK::Entry& e : best)
    if (e.column >= 0) all.push_back({e.value - log_sum, e.column});
  for (size_t i = 0; i < apart.changes.size(); ++i) {
    const double score = rules.changed(apart.changes[i], apart.logits[i] - log_sum);
    if (score > -std::numeric_limits<double>::infinity()) all.push_back({score, apart.changes[i].token});
  }
  std::sort(all.begin(), all.end(), [](const Continuation& a, const Continuation& b) { return a.score != b.score ? a.score > b.score : a.token < b.token; });
  if (all.size() > count) all.resize(count);
  return all;
}

}  // namespace

std::vector<std::vector<Continuation>> continuations(const Tensor& logits, std::span<const std::vector<int32_t>> sequences, const TokenRules& rules, int64_t count,
                                                     bool log_probabilities) {
  const int64_t words = logits.size(1);
  require(logits.size(0) == int64_t(sequences.size()), "generation: logits are {} for {} sequences", logits.shape(), sequences.size());
  std::vector<std::vector<Continuation>> all(sequences.size());
  if (const auto forced = rules.forced(int64_t(sequences[0].size())); !forced.empty()) {
    for (auto& row : all)
      for (const int64_t t : forced) row.push_back({0, int32_t(t)});
    return all;
  }
  const std::vector<Apart> apart = take_out(logits, sequences, rules);
  const int64_t k = std::min(count, words);
  const TopK::Result best = TopK{k, log_probabilities}.forward(logits);
  for (size_t r = 0; r < sequences.size(); ++r) {
    const double log_sum = log_probabilities ? with_apart(best.log_sums[r], apart[r]) : 0;
    all[r] = joined(std::span(best.entries).subspan(r * size_t(k), size_t(k)), apart[r], rules, log_sum, size_t(count));
    require_data(!all[r].empty() && std::isfinite(log_sum), "generation: after {} tokens the model's scores leave no possible next one; its weights may hold NaN", sequences[r].size());
  }
  return all;
}

}  // namespace alinea
