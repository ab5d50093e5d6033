#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "data/ctc/alignment.h"
#include "data/ctc/beam_search.h"
#include "data/ctc/spans.h"
#include "engine/core/error.h"
#include "engine/core/files.h"
#include "engine/core/random.h"
#include "tests/golden.h"

using namespace alinea;
using Ids = std::vector<int32_t>;

namespace {

std::vector<float> random_logits(int64_t frames, int64_t labels, uint64_t seed, double scale = 1) {
  Draw draw(RandomKey{seed});
  std::vector<float> x(size_t(frames * labels));
  for (float& v : x) v = float(scale * draw.normal());
  return x;
}

Ids labels_of(const std::vector<LabelSpan>& spans) {
  Ids labels;
  for (const LabelSpan& s : spans) labels.push_back(s.label);
  return labels;
}

// f(path, log probability) for every path of the frames.
template <class F>
void each_path(const CtcFrames& frames, F f) {
  Ids path(size_t(frames.frames()), 0);
  for (;;) {
    double log_p = 0;
    for (size_t t = 0; t < path.size(); ++t) log_p += frames[int64_t(t)][size_t(path[t])];
    f(path, log_p);
    size_t t = 0;
    while (t < path.size() && ++path[t] == frames.labels()) path[t++] = 0;
    if (t == path.size()) return;
  }
}

}  // namespace

TEST_CASE("CTC: spans of merged neighbours, and the best path") {
  CHECK(collapse(Ids{0, 1, 1, 0, 1, 2, 2}, 0) == std::vector<LabelSpan>{{1, 1, 3}, {1, 4, 5}, {2, 5, 7}});
  CHECK(collapse(Ids{}, 0).empty());
  CHECK(one_by_one(Ids{1, 1, 0, 2}, 0) == std::vector<LabelSpan>{{1, 0, 1}, {1, 1, 2}, {2, 3, 4}});
  const std::vector<float> logits{0, 2, 1, 3, 3, 0};
  const CtcFrames frames(logits, 3, 0);
  CHECK(best_path(frames) == Ids{1, 0});
  CHECK(std::exp(frames[0][0]) + std::exp(frames[0][1]) + std::exp(frames[0][2]) == doctest::Approx(1));
  CHECK_THROWS_AS(CtcFrames(logits, 4, 0), Error);
  CHECK_THROWS_AS(CtcFrames(logits, 3, 3), Error);
}

TEST_CASE("CTC: an unpruned beam search finds the most probable sequences with their exact probabilities") {
  const auto all = nlohmann::json::parse(read_file(golden("ctc_nbest.json")));
  for (const auto& one : all["cases"]) {
    std::vector<float> logits;
    for (const auto& row : one["logits"]) logits.insert(logits.end(), row.begin(), row.end());
    const CtcFrames frames(logits, int64_t(one["logits"][0].size()), 0);
    CHECK(labels_of(collapse(best_path(frames), 0)) == one["greedy"].get<Ids>());
    const auto best = ctc_beam_search(frames, {.beam = 0, .best = 6});
    REQUIRE(best.size() == 6);
    for (size_t i = 0; i < 6; ++i) {
      CHECK(best[i].labels == one["labels"][i].get<Ids>());
      CHECK(best[i].log_probability == doctest::Approx(one["scores"][i].get<double>()).epsilon(1e-5));
    }
  }
}

TEST_CASE("CTC: beam search equals the sum over all paths, with any blank; a beam that is wide enough changes nothing") {
  for (const int32_t blank : {0, 2}) {
    const auto logits = random_logits(6, 3, 7 + uint64_t(blank));
    const CtcFrames frames(logits, 3, blank);
    std::map<Ids, double> sums;
    each_path(frames, [&](const Ids& path, double log_p) { sums[labels_of(collapse(path, blank))] += std::exp(log_p); });
    const auto best = ctc_beam_search(frames, {.beam = 0, .best = 1000000});
    CHECK(best.size() == sums.size());
    double total = 0;
    for (const auto& h : best) {
      CHECK(std::exp(h.log_probability) == doctest::Approx(sums.at(h.labels)).epsilon(1e-9));
      total += std::exp(h.log_probability);
    }
    CHECK(total == doctest::Approx(1));
    CHECK(ctc_beam_search(frames, {.beam = 100})[0].labels == best[0].labels);
    CHECK(ctc_beam_search(frames, {.beam = 1000000, .least_log_probability = -100})[0].log_probability == doctest::Approx(best[0].log_probability));
  }
  const CtcFrames none({}, 3, 0);
  CHECK(ctc_beam_search(none)[0].labels.empty());
  CHECK_THROWS_AS(ctc_beam_search(none, {.beam = -1}), Error);
}

TEST_CASE("CTC: pruning keeps the best label of sharp frames") {
  const auto logits = random_logits(200, 30, 3, 6);
  const CtcFrames frames(logits, 30, 0);
  const auto wide = ctc_beam_search(frames, {.beam = 50}), narrow = ctc_beam_search(frames, {.beam = 50, .least_log_probability = -10});
  CHECK(wide[0].labels == narrow[0].labels);
  CHECK(wide[0].log_probability == doctest::Approx(narrow[0].log_probability).epsilon(1e-3));
}

TEST_CASE("CTC: forced alignment is the most probable path that gives the labels") {
  const auto logits = random_logits(7, 4, 11);
  const CtcFrames frames(logits, 4, 1);
  for (const Ids& labels : {Ids{}, Ids{0}, Ids{2, 2}, Ids{0, 3, 2}, Ids{2, 2, 2, 0}, Ids{3, 3, 3, 3}}) {
    double best = -1e300;
    Ids best_path;
    each_path(frames, [&](const Ids& path, double log_p) {
      if (log_p > best && labels_of(collapse(path, 1)) == labels) best = log_p, best_path = path;
    });
    const auto found = ctc_align(frames, labels);
    REQUIRE(found.has_value());
    CHECK(found->log_probability == doctest::Approx(best).epsilon(1e-9));
    CHECK(found->spans == collapse(best_path, 1));
  }
  CHECK_FALSE(ctc_align(frames, Ids{2, 2, 2, 2, 2}).has_value());
  CHECK_FALSE(ctc_align(frames, Ids(8, 0)).has_value());
  CHECK_THROWS_AS(ctc_align(frames, Ids{1}), Error);
  CHECK_THROWS_AS(ctc_align(frames, Ids{4}), Error);
}
