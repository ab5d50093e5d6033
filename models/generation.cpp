#include "models/generation.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"
#include "engine/core/parallel.h"
#include "engine/ops/softmax.h"

namespace alinea {

void GenerationOptions::check() const {
  require(beam >= 1 && beam <= 1000, "generation: beam {} must be 1 … 1000", beam);
  require(max_tokens >= 1, "generation: max_tokens {} must be at least 1", max_tokens);
}

std::vector<std::vector<int32_t>> greedy_search(Context& context, StepDecoder& decoder, int64_t batch, int64_t bos, int64_t eos,
                                                int64_t max_tokens) {
  std::vector<std::vector<int32_t>> out(static_cast<size_t>(batch));
  std::vector<int64_t> last(size_t(batch), bos);
  std::vector<bool> done(size_t(batch), false);
  for (int64_t i = 0; i < max_tokens && std::find(done.begin(), done.end(), false) != done.end(); ++i) {
    const Tensor logits = decoder.step(context.from(last.data(), {batch}));
    const auto v = logits.values<float>();
    const int64_t V = logits.size(1);
    for (int64_t b = 0; b < batch; ++b) {
      const auto row = v.begin() + b * V;
      const int64_t best = std::max_element(row, row + V) - row;
      if (best == eos) done[size_t(b)] = true;
      if (!done[size_t(b)]) out[size_t(b)].push_back(int32_t(best));
      last[size_t(b)] = done[size_t(b)] ? eos : best;
    }
  }
  return out;
}

namespace {

struct Beam {
  std::vector<int32_t> tokens;
  double sum = 0;
};

struct Candidate {
  double sum;
  int32_t beam, token;
};

/// One sentence of the batch.
struct Sentence {
  std::vector<Beam> running;
  std::vector<Hypothesis> finished;  // best first
  bool done = false;
};

class BeamSearch {
 public:
  BeamSearch(const GenerationOptions& options, int64_t batch, int64_t eos) : o_(options), eos_(int32_t(eos)), sentences_(size_t(batch)) {
    for (Sentence& s : sentences_) {
      s.running.resize(size_t(o_.beam));
      for (size_t k = 1; k < s.running.size(); ++k) s.running[k].sum = -1e9;  // all start alike: only the first may branch
    }
  }

  /// log_probabilities [batch · beam, V] of step `length` (from 1); fills the rows to continue and their newest tokens.
  void advance(const std::vector<float>& log_probabilities, int64_t V, int64_t length, std::vector<int32_t>& rows,
               std::vector<int64_t>& last) {
    const int64_t K = o_.beam;
    parallel_for(int64_t(sentences_.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        Sentence& s = sentences_[size_t(b)];
        std::vector<int32_t> from(static_cast<size_t>(K));
        if (!s.done) from = advance(s, log_probabilities.data() + b * K * V, V, length);
        for (int64_t k = 0; k < K; ++k) {
          rows[size_t(b * K + k)] = int32_t(b * K) + from[size_t(k)];
          last[size_t(b * K + k)] = s.done ? eos_ : s.running[size_t(k)].tokens.back();
        }
      }
    });
  }

  bool done() const {
    return std::all_of(sentences_.begin(), sentences_.end(), [](const Sentence& s) { return s.done; });
  }

  std::vector<Hypothesis> best() {
    std::vector<Hypothesis> all;
    for (Sentence& s : sentences_) all.push_back(std::move(s.finished.front()));
    return all;
  }

 private:
  double worth(double sum, int64_t length) const { return sum / std::pow(double(length), o_.length_penalty); }

  /// The best `count` continuations, best first; of equals the earlier beam and smaller token.
  std::vector<Candidate> candidates(const Sentence& s, const float* log_probabilities, int64_t V, size_t count) const {
    std::vector<Candidate> best;
    for (size_t k = 0; k < s.running.size(); ++k) {
      const float* row = log_probabilities + int64_t(k) * V;
      for (int64_t v = 0; v < V; ++v) {
        const double sum = s.running[k].sum + double(row[v]);
        if (best.size() == count && sum <= best.back().sum) continue;
        if (best.size() == count) best.pop_back();
        const auto at = std::upper_bound(best.begin(), best.end(), sum, [](double x, const Candidate& c) { return x > c.sum; });
        best.insert(at, {sum, int32_t(k), int32_t(v)});
      }
    }
    return best;
  }

  std::vector<int32_t> advance(Sentence& s, const float* log_probabilities, int64_t V, int64_t length) const {
    const size_t K = size_t(o_.beam);
    const bool last_step = length == o_.max_tokens;
    const auto all = candidates(s, log_probabilities, V, 2 * K);
    std::vector<Beam> next;
    std::vector<int32_t> from;
    for (size_t rank = 0; rank < all.size(); ++rank) {
      const Candidate& c = all[rank];
      const bool ends = c.token == eos_;
      if ((ends || last_step) && rank < K) finish(s, c, worth(c.sum, length));
      if (ends || next.size() == K) continue;
      next.push_back({s.running[size_t(c.beam)].tokens, c.sum});
      next.back().tokens.push_back(c.token);
      from.push_back(c.beam);
    }
    s.running = std::move(next);
    s.done =
        last_step || (s.finished.size() == K && (o_.early_stopping || s.finished.back().score >= worth(s.running.front().sum, length)));
    return from;
  }

  void finish(Sentence& s, const Candidate& c, double score) const {
    const auto at =
        std::upper_bound(s.finished.begin(), s.finished.end(), score, [](double x, const Hypothesis& h) { return x > h.score; });
    Hypothesis h{s.running[size_t(c.beam)].tokens, score};
    if (c.token != eos_) h.tokens.push_back(c.token);
    s.finished.insert(at, std::move(h));
    if (s.finished.size() > size_t(o_.beam)) s.finished.pop_back();
  }

  const GenerationOptions& o_;
  int32_t eos_;
  std::vector<Sentence> sentences_;
};

}  // namespace

std::vector<Hypothesis> beam_search(Context& context, StepDecoder& decoder, int64_t batch, int64_t bos, int64_t eos,
                                    const GenerationOptions& options) {
  options.check();
  const int64_t rows = batch * options.beam;
  BeamSearch search(options, batch, eos);
  std::vector<int64_t> last(size_t(rows), bos);
  std::vector<int32_t> order(static_cast<size_t>(rows));
  for (int64_t length = 1; length <= options.max_tokens; ++length) {
    const Tensor logits = decoder.step(context.from(last.data(), {rows}));
    search.advance(LogSoftmax{}.forward(logits, nullptr).values<float>(), logits.size(1), length, order, last);
    if (search.done()) break;
    decoder.reorder(order);
  }
  return search.best();
}

}  // namespace alinea
