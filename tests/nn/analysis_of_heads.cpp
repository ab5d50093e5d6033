// What the analysis says of a head: the identities of the softmax on a sparse set, the band it chooses, the role it gives, and the scores that it refuses.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "engine/core/error.h"
#include "tests/nn/made_scores.h"

using namespace alinea;

namespace {

std::string error_of(const std::function<void()>& f, Exit kind) {
  try {
    f();
  } catch (const Error& e) {
    CHECK(e.kind() == kind);
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("softmax on the kept cells: |A − A~| = 2 Σ (1 − m_i), and the outputs differ by (1 − m_i) times the difference of two means") {
  for (const bool causal : {false, true}) {
    const int64_t n = 20, D = 5;
    const Scores a = attention(n, 9, causal);
    Cells kept = band_of(a, 2);
    add_columns(kept, a, best_columns(a, kept, 2));
    const Fit fit = measure(a, kept);
    CHECK(row_sum_error(a) < 1e-12);
    CHECK(std::abs(renormalised_l1(a, kept) - 2 * double(n) * (1 - fit.retained)) < 1e-12);
    CHECK(fit.relative_l1 == doctest::Approx(1 - fit.retained).epsilon(1e-12));

    Draw draw = draw_of(3);
    std::vector<double> v(size_t(n * D));
    for (double& x : v) x = draw.normal();
    double worst = 1;
    for (int64_t i = 0; i < n; ++i) {
      double m = 0;
      for (int64_t j = 0; j < n; ++j) m += kept.has(i, j) ? a.at(i, j) : 0;
      worst = std::min(worst, m);
      for (int64_t d = 0; d < D; ++d) {
        double all = 0, in = 0, out = 0;
        for (int64_t j = 0; j < n; ++j) {
          const double x = a.at(i, j) * v[size_t(j * D + d)];
          all += x, (kept.has(i, j) ? in : out) += x;
        }
        if (m < 1 - 1e-9) CHECK(std::abs(all - in / m - (1 - m) * (out / (1 - m) - in / m)) < 1e-12);
      }
    }
    CHECK(fit.worst == doctest::Approx(worst).epsilon(1e-12));
  }
}

TEST_CASE("the chosen band is the smallest that keeps enough, unless it would take too much") {
  const Scores a = attention(30, 1), b = attention(12, 2);
  const std::vector<BandCurve> curves = {band_curve(a), band_curve(b)};
  const auto kept = [&](int64_t w) { return 1 - (curves[0].relative_l1(w) + curves[1].relative_l1(w)) / 2; };
  const ChosenBand free = choose_band(curves, 0.9, 1);
  CHECK(free.enough);
  CHECK(kept(free.w) >= 0.9);
  CHECK(kept(free.w - 1) < 0.9);
  const ChosenBand held = choose_band(curves, 0.9, 0.3);
  CHECK_FALSE(held.enough);
  CHECK(held.share <= 0.3);
  CHECK(choose_band(curves, 0.9, held.share + 0.2).w > held.w);
  CHECK(choose_band(curves, 1, 1).w == 29);
}

TEST_CASE("roles: made heads get their names") {
  const int64_t n = 20;
  const auto role = [&](const std::function<double(int64_t, int64_t)>& weight, std::vector<double> rarity = {}) {
    std::vector<double> values;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) values.push_back(weight(i, j));
    const Scores a = make_scores(n, n, values, "made");
    const std::vector<BandCurve> curves = {band_curve(a)};
    return role_of(std::vector{role_counts(a, curves[0], a.square() ? std::optional(best_blocks(a, a.rows, 1 / double(a.columns))) : std::nullopt, rarity)}, curves);
  };
  const Role previous = role([](int64_t i, int64_t j) { return j == std::max<int64_t>(0, i - 1) ? 0.9 : 0.1 / 19; });
  CHECK(previous.name == "positional");
  CHECK(previous.offset == -1);
  CHECK(previous.positional == doctest::Approx(0.95));
  CHECK_FALSE(previous.rare);
  const auto sink = [](int64_t, int64_t j) { return j == 7 ? 0.7 : 0.3 / 19; };
  CHECK(role(sink).name == "column");
  CHECK(role(sink).column == doctest::Approx(0.7));
  std::vector<double> rarity(size_t(n), 1.0);
  rarity[7] = 5;
  CHECK(role(sink, rarity).name == "rare");
  CHECK(*role(sink, rarity).rare == 1);
  rarity[7] = -INFINITY;                                    // a special token is never rare
  CHECK(role(sink, rarity).name == "column");
  CHECK(*role(sink, rarity).rare == 0);
  const Role blocks = role([](int64_t i, int64_t j) { return i / 10 == j / 10 ? 0.1 : 0.0; });
  CHECK(blocks.name == "blocks");
  CHECK(*blocks.block_gain == doctest::Approx(6.0 / 35));     // 200 cells hold 1 in two blocks, 29 / 35 in a band between w = 5 and 6
  CHECK(role([](int64_t i, int64_t j) { return std::abs(i - j) <= 1 ? 0.32 + 0.01 * double((i + j) % 3) : 0.001; }).name == "local");
  CHECK(role([](int64_t i, int64_t j) { return 1 + 0.1 * double((i * 7 + j * 13) % 11); }).name == "mixed");
}

TEST_CASE("scores that are none are refused by place") {
  const auto refused = [](std::vector<double> values, const std::string& words, std::vector<int64_t> visible = {}) {
    const std::string message = error_of([&] { make_scores(2, 2, values, "layer 1, head 2", visible); }, Exit::data);
    CAPTURE(message);
    CHECK(message.find("layer 1, head 2") == 0);
    CHECK(message.find(words) != std::string::npos);
  };
  refused({0.5, 0.5, NAN, 1}, "row 1, column 0 is nan");
  refused({0.5, INFINITY, 0, 1}, "row 0, column 1 is inf");
  refused({0.5, 0.5, 0.5, -0.1}, "row 1, column 1 is -0.1");
  refused({0, 0, 0, 0}, "nothing to analyse");
  refused({0.5, 0.5, 0.5, 0.5}, "sees 1 columns", {1, 2});
  CHECK(error_of([] { make_scores(0, 3, {}, "empty"); }, Exit::data).find("0 rows") != std::string::npos);
  const Scores a = random_scores(3, 3, 1);
  error_of([&] { analyze(a, band_curve(a), {.eps = 0}); }, Exit::usage);
  error_of([&] { best_blocks(random_scores(2, 3, 1), 2, 0); }, Exit::usage);
}

TEST_CASE("rows of zeros and unseen columns neither count nor cost") {
  const Scores a = make_scores(3, 4, {0, 0, 0, 0, 0.5, 0.5, 0, 0, 0.25, 0.25, 0.5, 0}, "a", {0, 2, 3});
  const Analysis r = analyze(a, band_curve(a), {.band = 3, .columns = 0, .residual = 0});
  CHECK(r.fit.nnz == 5);
  CHECK(r.fit.l1 == 0);
  CHECK(r.fit.retained == 1);
  CHECK(r.roles.rows == 2);
  CHECK_FALSE(r.renormalised_l1);                           // a row of zeros does not sum to 1
}
