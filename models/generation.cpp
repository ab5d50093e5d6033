#include "models/generation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/continuations.h"

namespace alinea {

namespace {

using Sequence = std::vector<int32_t>;

/// Rows of a batch, and the moves that take them to the next step.
struct Rows {
  std::vector<Sequence> sequences;
  std::vector<int32_t> from;                                // the row that each continues
};

// On the host, where the ids are checked: handed to a GPU like this they are not waited for.
Tensor newest(const std::vector<Sequence>& rows) {
  std::vector<int64_t> last;
  for (const Sequence& s : rows) last.push_back(s.back());
  return Context::cpu().from(last.data(), {int64_t(last.size())});
}

void reorder(StepDecoder& decoder, const std::vector<int32_t>& from, size_t before) {
  bool same = from.size() == before;
  for (size_t r = 0; same && r < from.size(); ++r) same = from[r] == int32_t(r);
  if (!same) decoder.reorder(from);
}

void pad(std::vector<Sequence>& all, int64_t token) {
  size_t longest = 0;
  for (const Sequence& s : all) longest = std::max(longest, s.size());
  for (Sequence& s : all) s.resize(longest, int32_t(token));
}

Generation greedy(StepDecoder& decoder, int64_t batch, const GenerationConfig& config) {
  const TokenRules rules(config);
  Generation out{.sequences = std::vector<Sequence>(size_t(batch)), .scores = {}, .end_tokens = config.eos_token_id};
  std::vector<size_t> sentences(static_cast<size_t>(batch));
  std::iota(sentences.begin(), sentences.end(), size_t(0));
  Rows rows{std::vector<Sequence>(size_t(batch), Sequence{int32_t(*config.decoder_start_token_id)}), {}};
  while (!rows.sequences.empty()) {
    const auto best = continuations(decoder.step(newest(rows.sequences)), rows.sequences, rules, 1, false);
    Rows next;
    std::vector<size_t> going;
    for (size_t r = 0; r < best.size(); ++r) {
      Sequence& s = rows.sequences[r];
      s.push_back(best[r][0].token);
      if (rules.ends(s.back()) || int64_t(s.size()) == config.longest()) {
        out.sequences[sentences[r]] = std::move(s);
        continue;
      }
      next.sequences.push_back(std::move(s));
      next.from.push_back(int32_t(r));
      going.push_back(sentences[r]);
    }
    if (!next.from.empty()) reorder(decoder, next.from, best.size());
    rows = std::move(next), sentences = std::move(going);
  }
  pad(out.sequences, config.pad_token_id.value_or(config.eos_token_id.empty() ? 0 : config.eos_token_id[0]));
  return out;
}

struct Hypothesis {
  Sequence sequence;
  double score;
};

struct Candidate {
  double sum;
  int32_t beam, token;
};

/// One sentence of the batch.
struct Sentence {
  size_t number = 0;
  std::vector<double> sums;                                 // of its beams
  std::vector<Hypothesis> finished;                         // best first
  bool done = false;
};

class BeamSearch {
 public:
  BeamSearch(const GenerationConfig& config, int64_t batch) : config_(config), rules_(config), beams_(size_t(config.num_beams)) {
    for (int64_t b = 0; b < batch; ++b) {
      Sentence s{.number = size_t(b), .sums = std::vector<double>(beams_, -1e9), .finished = {}};
      s.sums[0] = 0;                                        // all beams start alike: only the first may branch
      sentences_.push_back(std::move(s));
    }
    rows_.sequences.assign(size_t(batch) * beams_, Sequence{int32_t(*config.decoder_start_token_id)});
  }

  Generation run(StepDecoder& decoder) {
    const int64_t kept = int64_t(std::max<size_t>(2, 1 + config_.eos_token_id.size()) * beams_);
    std::vector<std::vector<Hypothesis>> finished(sentences_.size());
    while (!sentences_.empty()) {
      const auto next = continuations(decoder.step(newest(rows_.sequences)), rows_.sequences, rules_, kept, true);
      const size_t before = next.size();
      advance(next, size_t(kept));
      for (Sentence& s : sentences_)
        if (s.done) finished[s.number] = std::move(s.finished);
      std::erase_if(sentences_, [](const Sentence& s) { return s.done; });
      if (!sentences_.empty()) reorder(decoder, rows_.from, before);
    }
    return result(std::move(finished));
  }

 private:
  double worth(double sum, int64_t length) const { return sum / std::pow(double(length), config_.length_penalty); }

  /// Each sentence takes its step; the rows of those that go on replace the rows.
  void advance(const std::vector<std::vector<Continuation>>& next, size_t kept) {
    Rows rows;
    for (size_t b = 0; b < sentences_.size(); ++b) advance(sentences_[b], b * beams_, candidates(sentences_[b], {next.data() + b * beams_, beams_}, kept), rows);
    rows_ = std::move(rows);
  }

  /// The best `count` continuations of a sentence, best first; of equals the earlier beam and smaller token.
  std::vector<Candidate> candidates(const Sentence& s, std::span<const std::vector<Continuation>> next, size_t count) const {
    std::vector<Candidate> all;
    for (size_t k = 0; k < beams_; ++k)
      for (const Continuation& c : next[k]) all.push_back({s.sums[k] + c.score, int32_t(k), c.token});
    std::stable_sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) { return a.sum > b.sum; });
    if (all.size() > count) all.resize(count);
    return all;
  }

  void advance(Sentence& s, size_t first_row, const std::vector<Candidate>& best, Rows& rows) const {
    const auto length = int64_t(rows_.sequences[first_row].size());   // tokens without the start, after this step
    const bool last_step = length + 1 == config_.longest();
    const size_t before = rows.from.size();
    std::vector<double> sums;
    for (size_t rank = 0; rank < best.size(); ++rank) {
      const Candidate& c = best[rank];
      const bool ends = last_step || rules_.ends(c.token);
      if (ends ? rank >= beams_ : sums.size() == beams_) continue;
      Sequence sequence = rows_.sequences[first_row + size_t(c.beam)];
      sequence.push_back(c.token);
      if (ends) {
        finish(s, {std::move(sequence), worth(c.sum, length)});
        continue;
      }
      sums.push_back(c.sum);
      rows.sequences.push_back(std::move(sequence));
      rows.from.push_back(int32_t(first_row) + c.beam);
    }
    s.done = sums.empty() || done(s, sums[0], length);
    while (!s.done && sums.size() < beams_) {               // the rules left too few: the last beam stands in, and never wins
      sums.push_back(-std::numeric_limits<double>::infinity());
      rows.sequences.push_back(Sequence(rows.sequences.back()));
      rows.from.push_back(int32_t(rows.from.back()));
    }
    s.sums = std::move(sums);
    if (s.done) rows.sequences.resize(before), rows.from.resize(before);
  }

  void finish(Sentence& s, Hypothesis h) const {
    const auto at = std::upper_bound(s.finished.begin(), s.finished.end(), h.score, [](double x, const Hypothesis& other) { return x > other.score; });
    s.finished.insert(at, std::move(h));
    if (s.finished.size() > beams_) s.finished.pop_back();
  }

  /// With `sum` the best beam that goes on, after `length` tokens.
  bool done(const Sentence& s, double sum, int64_t length) const {
    if (s.finished.size() < beams_) return false;
    if (config_.early_stopping == EarlyStopping::yes) return true;
    const bool any_length = config_.early_stopping == EarlyStopping::never && config_.length_penalty > 0;
    return s.finished.back().score >= worth(sum, any_length ? config_.longest() - 1 : length);
  }

  Generation result(std::vector<std::vector<Hypothesis>> finished) const {
    Generation out{.sequences = {}, .scores = {}, .end_tokens = config_.eos_token_id};
    const auto wanted = size_t(config_.num_return_sequences);
    for (auto& sentence : finished) {
      require(sentence.size() >= wanted, "generation: the rules leave {} sequences of a sentence where num_return_sequences is {}; relax them", sentence.size(), wanted);
      for (size_t i = 0; i < wanted; ++i) {
        out.sequences.push_back(std::move(sentence[i].sequence));
        out.scores.push_back(sentence[i].score);
      }
    }
    const int64_t fill = config_.pad_token_id.value_or(0);  // Hugging Face takes a pad token 0 for none here
    pad(out.sequences, fill != 0 || config_.eos_token_id.empty() ? fill : config_.eos_token_id[0]);
    return out;
  }

  const GenerationConfig& config_;
  TokenRules rules_;
  size_t beams_;
  std::vector<Sentence> sentences_;
  Rows rows_;
};

}  // namespace

std::vector<int32_t> Generation::tokens(size_t i) const {
  const Sequence& s = sequences.at(i);
  const auto end = std::find_if(s.begin() + 1, s.end(), [&](int32_t t) { return std::find(end_tokens.begin(), end_tokens.end(), int64_t(t)) != end_tokens.end(); });
  return {s.begin() + 1, end};
}

Generation generate(StepDecoder& decoder, int64_t batch, const GenerationConfig& config) {
  config.check();
  require(config.decoder_start_token_id.has_value(), "generation: decoder_start_token_id is not set, and the model names none");
  if (batch == 0) return {.sequences = {}, .scores = {}, .end_tokens = config.eos_token_id};
  if (config.num_beams == 1) return greedy(decoder, batch, config);
  return BeamSearch(config, batch).run(decoder);
}

}  // namespace alinea
