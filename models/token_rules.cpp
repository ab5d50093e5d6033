#include "models/token_rules.h"

#include <algorithm>

namespace alinea {

std::span<const int64_t> TokenRules::forced(int64_t length) const {
  if (length == config_.longest() - 1 && !config_.forced_eos_token_id.empty()) return config_.forced_eos_token_id;
  if (length == 1 && config_.forced_bos_token_id) return {&*config_.forced_bos_token_id, 1};
  return {};
}

std::vector<TokenRules::Change> TokenRules::changes(std::span<const int32_t> sequence) const {
  std::vector<Change> all;
  const int64_t length = int64_t(sequence.size()), n = config_.no_repeat_ngram_size;
  if (config_.repetition_penalty != 1)
    for (const int32_t t : sequence) all.push_back({t, false});
  if (n > 0)
    for (int64_t at = 0; at + n <= length; ++at)
      if (std::equal(sequence.begin() + at, sequence.begin() + at + n - 1, sequence.end() - (n - 1))) all.push_back({sequence[size_t(at + n - 1)], true});
  if (length < config_.shortest())
    for (const int64_t t : config_.eos_token_id) all.push_back({int32_t(t), true});
  std::sort(all.begin(), all.end(), [](const Change& a, const Change& b) { return a.token != b.token ? a.token < b.token : a.banned > b.banned; });
  all.erase(std::unique(all.begin(), all.end(), [](const Change& a, const Change& b) { return a.token == b.token; }), all.end());
  return all;
}

bool TokenRules::ends(int32_t token) const {
  return std::find(config_.eos_token_id.begin(), config_.eos_token_id.end(), int64_t(token)) != config_.eos_token_id.end();
}

}  // namespace alinea
