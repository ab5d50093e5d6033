#include "models/generation.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/core/random.h"
#include "engine/ops/softmax.h"

using namespace alinea;

namespace {

using Tokens = std::vector<int32_t>;

// Logits as a function of the sentence and the whole prefix, so that a wrong reorder shows. Counts the rows it was asked for.
class Scripted final : public StepDecoder {
 public:
  using Logits = std::function<std::vector<double>(int64_t sentence, const Tokens& prefix)>;
  Scripted(int64_t batch, int64_t beams, Logits logits) : logits_(std::move(logits)) {
    for (int64_t r = 0; r < batch * beams; ++r) rows_.push_back({r / beams, {}});
  }
  Tensor step(const Tensor& last) override {
    const auto ids = last.values<int64_t>();
    REQUIRE(ids.size() == rows_.size());
    asked += int64_t(rows_.size());
    std::vector<double> all;
    for (size_t r = 0; r < rows_.size(); ++r) {
      rows_[r].prefix.push_back(int32_t(ids[r]));
      const auto one = logits_(rows_[r].sentence, rows_[r].prefix);
      all.insert(all.end(), one.begin(), one.end());
    }
    return Context::cpu().from(all.data(), {int64_t(rows_.size()), int64_t(all.size() / rows_.size())});
  }
  void reorder(std::span<const int32_t> rows) override {
    std::vector<Row> next;
    for (const int32_t r : rows) next.push_back(rows_.at(size_t(r)));
    rows_ = std::move(next);
  }
  int64_t asked = 0;

 private:
  struct Row {
    int64_t sentence;
    Tokens prefix;
  };
  Logits logits_;
  std::vector<Row> rows_;
};

// Random, a pure function of seed, sentence and prefix; token 1 (the end) a little likelier.
Scripted::Logits random_logits(uint64_t seed, int64_t words) {
  return [=](int64_t sentence, const Tokens& prefix) {
    RandomKey key = RandomKey{seed}.child(uint64_t(sentence));
    for (const int32_t t : prefix) key = key.child(uint64_t(t));
    std::vector<double> v;
    for (int64_t w = 0; w < words; ++w) v.push_back(2 * Draw(key.child(uint64_t(w))).normal() + (w == 1 ? 0.3 : 0));
    return v;
  };
}

std::vector<double> log_probabilities(std::vector<double> v) {
  double sum = 0;
  for (const double x : v) sum += std::exp(x);
  for (double& x : v) x -= std::log(sum);
  return v;
}

// log p of the given next tokens, the rest shares what is left of 1.
std::vector<double> table(int64_t words, const std::map<int32_t, double>& p) {
  double rest = 1;
  for (const auto& [token, one] : p) rest -= one;
  std::vector<double> v(size_t(words), std::log(rest / double(words - int64_t(p.size()))));
  for (const auto& [token, one] : p) v[size_t(token)] = std::log(one);
  return v;
}

GenerationConfig with(GenerationConfig c) {
  c.decoder_start_token_id = 0, c.pad_token_id = 9;
  if (c.eos_token_id.empty()) c.eos_token_id = {1};
  return c;
}

Generation run(const Scripted::Logits& logits, const GenerationConfig& config, int64_t batch = 1) {
  Scripted decoder(batch, config.num_beams, logits);
  return generate(decoder, batch, config);
}

// The rules written out on a whole row of scores, as Hugging Face applies them.
void apply_rules(const GenerationConfig& c, const Tokens& prefix, std::vector<double>& scores) {
  const double never = -std::numeric_limits<double>::infinity();
  for (const int32_t t : std::set<int32_t>(prefix.begin(), prefix.end())) scores[size_t(t)] *= scores[size_t(t)] < 0 ? c.repetition_penalty : 1 / c.repetition_penalty;
  const auto n = size_t(c.no_repeat_ngram_size);
  for (size_t w = 0; n > 0 && w < scores.size(); ++w) {
    Tokens longer = prefix;
    longer.push_back(int32_t(w));
    if (longer.size() < n) continue;
    const Tokens tail(longer.end() - int64_t(n), longer.end());
    if (std::search(prefix.begin(), prefix.end(), tail.begin(), tail.end()) != prefix.end()) scores[w] = never;
  }
  const auto length = int64_t(prefix.size());
  if (length < c.min_length || length < 1 + c.min_new_tokens.value_or(0))
    for (const int64_t e : c.eos_token_id) scores[size_t(e)] = never;
  const auto force = [&](const std::vector<int64_t>& tokens) {
    std::fill(scores.begin(), scores.end(), never);
    for (const int64_t t : tokens) scores[size_t(t)] = 0;
  };
  if (length == 1 && c.forced_bos_token_id) force({*c.forced_bos_token_id});
  if (length == c.longest() - 1 && !c.forced_eos_token_id.empty()) force(c.forced_eos_token_id);
}

struct Ended {
  Tokens tokens;
  double worth;
};

// Beam search of one sentence, written for clarity: whole prefixes, full sorts.
std::vector<Ended> plain_beam_search(const Scripted::Logits& logits, const GenerationConfig& c, int64_t sentence) {
  struct Running {
    Tokens tokens;
    double sum;
  };
  const auto K = size_t(c.num_beams);
  std::vector<Running> running{{{0}, 0}};
  std::vector<Ended> pool;
  for (int64_t length = 1; length < c.longest(); ++length) {
    std::vector<Running> all;
    for (const Running& r : running) {
      auto scores = log_probabilities(logits(sentence, r.tokens));
      apply_rules(c, r.tokens, scores);
      for (size_t w = 0; w < scores.size(); ++w)
        if (std::isfinite(scores[w])) all.push_back({r.tokens, r.sum + scores[w]}), all.back().tokens.push_back(int32_t(w));
    }
    std::stable_sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.sum > b.sum; });
    running.clear();
    for (size_t rank = 0; rank < all.size() && rank < K * std::max<size_t>(2, 1 + c.eos_token_id.size()); ++rank) {
      const bool ends = length + 1 == c.longest() || std::count(c.eos_token_id.begin(), c.eos_token_id.end(), all[rank].tokens.back());
      if (!ends && running.size() < K) running.push_back(all[rank]);
      if (ends && rank < K) pool.push_back({all[rank].tokens, all[rank].sum / std::pow(double(length), c.length_penalty)});
    }
    std::stable_sort(pool.begin(), pool.end(), [](auto& a, auto& b) { return a.worth > b.worth; });
    if (pool.size() > K) pool.resize(K);
    if (running.empty()) break;
    if (pool.size() < K) continue;
    const double longest = c.early_stopping == EarlyStopping::never && c.length_penalty > 0 ? double(c.longest() - 1) : double(length);
    if (c.early_stopping == EarlyStopping::yes || pool.back().worth >= running[0].sum / std::pow(longest, c.length_penalty)) break;
  }
  return pool;
}

// Without what pads it.
Tokens trimmed(Tokens row) {
  while (row.back() == 9) row.pop_back();
  return row;
}

}  // namespace

TEST_CASE("generation: beam search equals a plain one for every rule, penalty and way to stop, batched as alone") {
  const GenerationConfig rules[] = {{},
                                    {.min_length = 5},
                                    {.min_new_tokens = 3},
                                    {.no_repeat_ngram_size = 2},
                                    {.no_repeat_ngram_size = 1},
                                    {.repetition_penalty = 1.7},
                                    {.min_length = 4, .no_repeat_ngram_size = 2, .repetition_penalty = 1.3, .eos_token_id = {1, 4}, .forced_eos_token_id = {1}},
                                    {.forced_bos_token_id = 5},
                                    {.forced_eos_token_id = {1}},
                                    {.eos_token_id = {1, 4}, .forced_eos_token_id = {1, 4}}};
  int compared = 0;
  for (uint64_t seed = 0; seed < 4; ++seed)
    for (const GenerationConfig& rule : rules)
      for (const double penalty : {0.0, 1.0, 2.0, -1.0})
        for (const EarlyStopping stop : {EarlyStopping::no, EarlyStopping::yes, EarlyStopping::never}) {
          GenerationConfig c = with(rule);
          c.num_beams = seed == 0 ? 2 : 3, c.num_return_sequences = 2, c.max_length = 8, c.length_penalty = penalty, c.early_stopping = stop;
          const auto logits = random_logits(seed, 9);
          const Generation found = run(logits, c, 3);
          REQUIRE(found.sequences.size() == 6);
          for (int64_t b = 0; b < 3; ++b) {
            const auto wanted = plain_beam_search(logits, c, b);
            for (size_t i = 0; i < 2; ++i, ++compared) {
              const size_t at = size_t(2 * b) + i;
              CHECK(found.scores[at] == doctest::Approx(wanted[i].worth).epsilon(1e-9));
              CHECK(trimmed(found.sequences[at]) == wanted[i].tokens);
              CHECK(found.sequences[at].size() == found.sequences[0].size());
            }
          }
        }
  CHECK(compared == 4 * 10 * 4 * 3 * 6);
}

TEST_CASE("generation: greedy search takes the best token as the rules leave it, on logits, and pads what ended early") {
  for (uint64_t seed = 0; seed < 10; ++seed)
    for (const GenerationConfig& rule : {GenerationConfig{}, {.repetition_penalty = 1.5}, {.min_length = 4, .no_repeat_ngram_size = 2}, {.forced_bos_token_id = 3, .forced_eos_token_id = {1}}}) {
      GenerationConfig c = with(rule);
      c.max_length = 9;
      const auto logits = random_logits(seed, 8);
      const Generation found = run(logits, c, 4);
      CHECK(found.scores.empty());
      for (int64_t b = 0; b < 4; ++b) {
        Tokens wanted{0};
        while (int64_t(wanted.size()) < 9 && (wanted.size() == 1 || wanted.back() != 1)) {
          auto scores = logits(b, wanted);
          apply_rules(c, wanted, scores);
          wanted.push_back(int32_t(std::max_element(scores.begin(), scores.end()) - scores.begin()));
        }
        CHECK(trimmed(found.sequences[size_t(b)]) == wanted);
      }
    }
}

TEST_CASE("generation: a case worked by hand: length penalty and early stopping choose between a short and a long sentence") {
  // 0 -> 2 (0.5) or the end (0.4); 2 -> 3 (0.9); 3 -> end (0.9). Sums: [1] ln 0.4 = -0.916 of length 1; [2 3 1] ln 0.405 = -0.904 of length 3.
  const auto logits = [](int64_t, const Tokens& prefix) {
    if (prefix.size() == 1) return table(6, {{2, 0.5}, {1, 0.4}});
    return prefix.back() == 2 ? table(6, {{3, 0.9}}) : prefix.back() == 3 ? table(6, {{1, 0.9}}) : table(6, {{1, 0.6}});
  };
  GenerationConfig c = with({.num_beams = 2, .max_length = 6, .length_penalty = 0});
  Generation best = run(logits, c);
  CHECK(best.sequences == std::vector<Tokens>{{0, 2, 3, 1}});
  CHECK(best.scores[0] == doctest::Approx(std::log(0.5 * 0.9 * 0.9)));
  CHECK(best.tokens(0) == Tokens{2, 3});
  c.length_penalty = -1;                                    // multiplied by the length: shorter is better
  best = run(logits, c);
  CHECK(best.sequences == std::vector<Tokens>{{0, 1}});
  CHECK(best.scores[0] == doctest::Approx(std::log(0.4)));
  c.num_return_sequences = 2;
  best = run(logits, c);
  CHECK(best.sequences[0] == Tokens{0, 1, 9, 9});           // as long as the longest
  CHECK(best.sequences[1] == Tokens{0, 2, 3, 1});
}

TEST_CASE("generation: sequences that reach the longest length count as they are, or end in a forced token that costs nothing") {
  const auto logits = [](int64_t, const Tokens&) { return table(7, {{2, 0.6}, {3, 0.3}}); };
  GenerationConfig c = with({.num_beams = 2, .max_new_tokens = 3});
  CHECK(run(logits, c).sequences == std::vector<Tokens>{{0, 2, 2, 2}});
  CHECK(run(logits, c).scores[0] == doctest::Approx(std::log(0.6)));
  c.forced_eos_token_id = {1};
  CHECK(run(logits, c).sequences == std::vector<Tokens>{{0, 2, 2, 1}});
  CHECK(run(logits, c).scores[0] == doctest::Approx(2 * std::log(0.6) / 3));
  c.pad_token_id = 0;                                       // of padding, Hugging Face's beam search takes 0 for "none" and fills with the end token
  c.num_return_sequences = 2, c.min_length = 0;
  const auto short_one = [](int64_t, const Tokens& prefix) { return prefix.size() == 1 ? table(7, {{1, 0.5}, {2, 0.4}}) : table(7, {{2, 0.9}}); };
  CHECK(run(short_one, c).sequences[0].back() == 1);
}

TEST_CASE("generation: sentences that are done cost nothing any more") {
  // Sentence b ends after b + 1 tokens.
  const auto logits = [](int64_t sentence, const Tokens& prefix) { return int64_t(prefix.size()) > sentence ? table(6, {{1, 0.99}}) : table(6, {{2, 0.99}}); };
  for (const int64_t beams : {1, 3}) {
    const GenerationConfig c = with({.num_beams = beams, .max_length = 20, .early_stopping = EarlyStopping::yes});
    Scripted decoder(4, beams, logits);
    const Generation all = generate(decoder, 4, c);
    for (size_t b = 0; b < 4; ++b) CHECK(all.tokens(b) == Tokens(b, 2));
    if (beams == 1) CHECK(decoder.asked == 1 + 2 + 3 + 4);
    else CHECK(decoder.asked < 4 * beams * 7);
  }
}

TEST_CASE("generation: settings are read from JSON and from text, kept, unset and refused by name") {
  Config file = Config::text(R"({"num_beams": 5, "eos_token_id": 2, "forced_eos_token_id": [2, 7], "early_stopping": "never", "max_length": null,
                                 "max_new_tokens": 30, "decoder_start_token_id": 61, "transformers_version": "5.23.0"})", "generation_config.json");
  GenerationConfig c;
  c.fields(file);
  CHECK(c.num_beams == 5);
  CHECK(c.eos_token_id == std::vector<int64_t>{2});
  CHECK(c.forced_eos_token_id == std::vector<int64_t>{2, 7});
  CHECK(c.early_stopping == EarlyStopping::never);
  CHECK(c.longest() == 31);
  CHECK(file.dump().find("transformers_version") != std::string::npos);
  c.assign("num_beams=3,eos_token_id=2+7,forced_eos_token_id=none,early_stopping=true,length_penalty=0.6,max_new_tokens=none,max_length=14,forced_bos_token_id=61");
  CHECK(c.num_beams == 3);
  CHECK(c.eos_token_id == std::vector<int64_t>{2, 7});
  CHECK(c.forced_eos_token_id.empty());
  CHECK(c.early_stopping == EarlyStopping::yes);
  CHECK(c.length_penalty == 0.6);
  CHECK(c.longest() == 14);
  CHECK(c.forced_bos_token_id == 61);
  CHECK(*c.decoder_start_token_id == 61);
  c.assign("num_beams=none,early_stopping=never");
  CHECK(c.num_beams == 1);
  CHECK(c.early_stopping == EarlyStopping::never);
  CHECK_THROWS_WITH_AS(c.assign("num_beam=3"), doctest::Contains("num_beams"), Error);
  CHECK_THROWS_WITH_AS(c.assign("early_stopping=perhaps"), doctest::Contains("\"never\""), Error);
  CHECK_THROWS_AS(c.assign("num_beams"), Error);
  CHECK_THROWS_AS((GenerationConfig{.num_return_sequences = 2}.check()), Error);
  CHECK_THROWS_AS((GenerationConfig{.do_sample = true}.check()), Error);
  CHECK_THROWS_AS((GenerationConfig{.max_length = std::nullopt}.check()), Error);
}

TEST_CASE("generation: scores that are NaN end the search as bad data") {
  const auto logits = [](int64_t, const Tokens& prefix) { return std::vector<double>(6, prefix.size() == 2 ? std::nan("") : 0.0); };
  for (const int64_t beams : {1, 2}) CHECK_THROWS_AS(run(logits, with({.num_beams = beams})), Error);
}
