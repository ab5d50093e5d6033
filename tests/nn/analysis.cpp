// The analysis of scores against brute force: the errors' formulas, what is optimal and what is only greedy, and planted structure that must come
// back exactly.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "tests/nn/made_scores.h"

using namespace alinea;

namespace {

double error_outside(const Scores& a, const std::function<bool(int64_t, int64_t)>& kept, double power = 1) {
  double e = 0;
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < a.columns; ++j)
      if (!kept(i, j)) e += std::pow(a.at(i, j), power);
  return e;
}

// Calls f with every ascending choice of r of the numbers 0 … n − 1.
void choices(int64_t n, int64_t r, const std::function<void(const std::vector<int64_t>&)>& f) {
  std::vector<int64_t> c;
  const std::function<void(int64_t)> go = [&](int64_t first) {
    if (int64_t(c.size()) == r) return f(c);
    for (int64_t j = first; j < n; ++j) {
      c.push_back(j);
      go(j + 1);
      c.pop_back();
    }
  };
  go(0);
}

}  // namespace

TEST_CASE("band: one pass equals the sums outside every band, never rises, ends at 0") {
  for (const auto& [T, S] : {std::pair<int64_t, int64_t>{1, 1}, {7, 7}, {16, 16}, {5, 9}, {9, 4}})
    for (const bool causal : {false, true})
      for (const Diagonal diagonal : {Diagonal::index, Diagonal::stretched}) {
        if (causal && T != S) continue;
        const Scores drawn = random_scores(T, S, uint64_t(10 * T + S), causal);
        const Scores a = make_scores(T, S, drawn.values, "a", {}, diagonal);
        const BandCurve curve = band_curve(a);
        CHECK(curve.total == doctest::Approx(std::accumulate(a.values.begin(), a.values.end(), 0.0)));
        for (int64_t w = 0; w <= curve.widest(); ++w) {
          const auto inside = [&](int64_t i, int64_t j) { return std::abs(j - a.centre[size_t(i)]) <= w; };
          const double l1 = error_outside(a, inside), squared = error_outside(a, inside, 2);
          CHECK(curve.l1[size_t(w)] == doctest::Approx(l1).epsilon(1e-12));
          CHECK(curve.squared[size_t(w)] == doctest::Approx(squared).epsilon(1e-12));
          CHECK(curve.cells[size_t(w)] == band_of(a, w).count());
          const Fit fit = measure(a, band_of(a, w));
          CHECK(fit.relative_l1 == doctest::Approx(curve.relative_l1(w)).epsilon(1e-12));
          CHECK(fit.relative_frobenius == doctest::Approx(curve.relative_frobenius(w)).epsilon(1e-12));
          if (w > 0) CHECK(curve.l1[size_t(w)] <= curve.l1[size_t(w - 1)]);
        }
        CHECK(curve.l1.back() == 0);
        CHECK(curve.squared.back() == 0);
        if (T == S) CHECK(curve.widest() == T - 1);
      }
}

TEST_CASE("band: (2w + 1) n − w (w + 1) numbers, half of it below the diagonal of a causal head") {
  for (const int64_t n : {1, 2, 9, 30})
    for (int64_t w = 0; w < n; ++w) {
      const int64_t all = (2 * w + 1) * n - w * (w + 1);
      CHECK(band_of(random_scores(n, n, 1), w).count() == all);
      if (n > 1) CHECK(band_of(random_scores(n, n, 1, true), w).count() == (all + n) / 2);
    }
}

TEST_CASE("band: no change of its values comes nearer, in either norm") {
  const Scores a = random_scores(9, 9, 3);
  const Cells kept = band_of(a, 2);
  const Fit best = measure(a, kept);
  Draw draw = draw_of(4);
  for (int trial = 0; trial < 200; ++trial) {
    double l1 = 0, squared = 0;
    for (int64_t i = 0; i < 9; ++i)
      for (int64_t j = 0; j < 9; ++j) {
        const double error = kept.has(i, j) ? 0.1 * draw.normal() : a.at(i, j);
        l1 += std::abs(error), squared += error * error;
      }
    CHECK(l1 > best.l1);
    CHECK(std::sqrt(squared) > best.frobenius);
  }
}

TEST_CASE("a stretched diagonal runs from corner to corner") {
  CHECK(make_scores(3, 9, std::vector<double>(27, 1.0), "a", {}, Diagonal::stretched).centre == std::vector<int64_t>{0, 4, 8});
  CHECK(make_scores(3, 9, std::vector<double>(27, 1.0), "a").centre == std::vector<int64_t>{0, 1, 2});
  CHECK(make_scores(4, 4, std::vector<double>(16, 1.0), "a", {}, Diagonal::stretched).centre == std::vector<int64_t>{0, 1, 2, 3});
}

TEST_CASE("columns: the best r of all choices, whatever the band") {
  for (uint64_t seed = 0; seed < 20; ++seed)
    for (const int64_t n : {1, 4, 6})
      for (const int64_t w : {0, 1, 2})
        for (int64_t r = 0; r <= n; ++r) {
          const Scores a = random_scores(n, n, seed, seed % 2 == 1);
          const auto error = [&](const std::vector<int64_t>& columns) {
            Cells kept = band_of(a, w);
            add_columns(kept, a, columns);
            return measure(a, kept).l1;
          };
          const double found = error(best_columns(a, band_of(a, w), r));
          double best = INFINITY;
          choices(n, r, [&](const std::vector<int64_t>& c) { best = std::min(best, error(c)); });
          CHECK(found == doctest::Approx(best).epsilon(1e-12));
        }
}

TEST_CASE("columns: what the recurrence over widths says, and ties go to the left") {
  const Scores a = random_scores(8, 8, 11);
  std::vector<double> before = column_mass(a, band_of(a, 0));
  for (int64_t w = 1; w < 8; ++w) {
    const std::vector<double> now = column_mass(a, band_of(a, w));
    for (int64_t j = 0; j < 8; ++j) {
      const double above = j - w >= 0 ? a.at(j - w, j) : 0, below = j + w < 8 ? a.at(j + w, j) : 0;
      CHECK(now[size_t(j)] == doctest::Approx(before[size_t(j)] - above - below).epsilon(1e-9));
    }
    before = now;
  }
  const Scores even = make_scores(4, 4, std::vector<double>(16, 0.25), "even");
  CHECK(best_columns(even, Cells(4, 4), 2) == std::vector<int64_t>{0, 1});
  CHECK(best_columns(even, band_of(even, 3), 2).empty());
}

TEST_CASE("residual: the clipped largest cells are the best of all supports, by the formula") {
  for (uint64_t seed = 0; seed < 8; ++seed)
    for (const double eps : {0.2, 0.6, 2.0})
      for (int64_t k = 0; k <= 4; ++k) {
        const Scores a = random_scores(4, 4, seed);
        const Cells kept = band_of(a, 1);
        const std::vector<Entry> e = best_residual(a, kept, k, eps);
        const Fit fit = measure(a, kept, e);
        std::vector<double> outside;
        for (int64_t i = 0; i < 4; ++i)
          for (int64_t j = 0; j < 4; ++j)
            if (!kept.has(i, j)) outside.push_back(a.at(i, j));
        double l1 = INFINITY, squared = INFINITY;
        choices(int64_t(outside.size()), k, [&](const std::vector<int64_t>& support) {
          double sum = 0, square = 0;
          for (const double x : outside) sum += x, square += x * x;
          for (const int64_t s : support) {
            const double x = outside[size_t(s)], rest = std::max(0.0, x - eps);
            sum -= std::min(x, eps), square -= x * x - rest * rest;
          }
          l1 = std::min(l1, sum), squared = std::min(squared, square);
        });
        CHECK(fit.l1 == doctest::Approx(l1).epsilon(1e-12));
        CHECK(fit.frobenius * fit.frobenius == doctest::Approx(squared).epsilon(1e-9));
        CHECK(fit.nnz == kept.count() + k);
        for (const Entry& x : e) CHECK(x.value <= eps);
      }
}

TEST_CASE("columns before the residual is greedy: never better than the best pair, and sometimes worse") {
  int worse = 0;
  for (uint64_t seed = 0; seed < 30; ++seed)
    for (const int64_t n : {5, 8}) {
      const Scores a = attention(n, seed);
      const auto error = [&](const std::vector<int64_t>& columns) {
        Cells kept = band_of(a, 0);
        add_columns(kept, a, columns);
        return measure(a, kept, best_residual(a, kept, 4, 0.5)).l1;
      };
      double best = INFINITY;
      choices(n, 2, [&](const std::vector<int64_t>& c) { best = std::min(best, error(c)); });
      const double greedy = error(best_columns(a, band_of(a, 0), 2));
      CHECK(greedy >= best - 1e-12);
      CHECK(greedy <= 1.5 * best);
      worse += greedy > best + 1e-9;
    }
  CHECK(worse > 0);
}

TEST_CASE("a planted band, two columns and spikes are found exactly") {
  const int64_t n = 24;
  std::vector<double> values(size_t(n * n), 0.0);
  const auto set = [&](int64_t i, int64_t j, double x) { values[size_t(i * n + j)] = x; };
  Draw draw = draw_of(7);
  for (int64_t i = 0; i < n; ++i) {
    for (const int64_t j : {int64_t(5), int64_t(17)}) set(i, j, 0.2 + 0.1 * draw.uniform());
    for (int64_t j = std::max<int64_t>(0, i - 2); j <= std::min(n - 1, i + 2); ++j) set(i, j, 0.5 + draw.uniform());
  }
  const std::vector<Entry> spikes = {{0, 20, 0.11}, {9, 1, 0.09}, {21, 3, 0.12}};
  for (const Entry& s : spikes) set(s.row, s.column, s.value);
  const Scores a = make_scores(n, n, values, "planted");
  const BandCurve curve = band_curve(a);
  const Analysis found = analyze(a, curve, {.band = 2, .columns = 2, .residual = 3, .eps = 1});
  CHECK(found.columns == std::vector<int64_t>{5, 17});
  CHECK(found.residual == spikes);
  CHECK(found.fit.l1 == 0);
  CHECK(found.fit.retained == 1);
  CHECK(found.baselines.top.relative_l1 == 0);
  const Analysis clipped = analyze(a, curve, {.band = 2, .columns = 2, .residual = 3, .eps = 0.1});
  CHECK(clipped.fit.l1 == doctest::Approx(0.01 + 0.02).epsilon(1e-12));
  // The width at which the columns are all that is left over.
  CHECK(choose_band(std::vector{curve}, 1 - curve.relative_l1(2), 1).w == 2);
}

TEST_CASE("blocks: the partition is the best of all partitions") {
  for (uint64_t seed = 0; seed < 12; ++seed)
    for (const int64_t n : {1, 2, 7})
      for (const int64_t largest : {int64_t(1), int64_t(3), n}) {
        const Scores a = seed % 2 ? attention(n, seed, true) : random_scores(n, n, seed);
        for (const double price : {0.0, 0.3, 0.6}) {
          const auto value = [&](const std::vector<Block>& blocks) {
            Cells kept(n, n);
            add_blocks(kept, a, blocks);
            return std::pair{measure(a, kept).retained, std::accumulate(a.values.begin(), a.values.end(), 0.0) - measure(a, kept).l1 - price * double(kept.count())};
          };
          double best = -INFINITY;
          for (uint64_t cuts = 0; cuts < uint64_t(1) << (n - 1); ++cuts) {   // bit i: a block ends behind position i
            std::vector<Block> blocks{{0, 0}};
            bool allowed = true;
            for (int64_t i = 0; i < n; ++i) {
              blocks.back().end = i + 1;
              allowed = allowed && blocks.back().end - blocks.back().begin <= largest;
              if (i + 1 < n && cuts >> i & 1) blocks.push_back({i + 1, i + 1});
            }
            if (allowed) best = std::max(best, value(blocks).second);
          }
          const BlockPartition p = best_blocks(a, largest, price);
          CHECK(value(p.blocks).second == doctest::Approx(best).epsilon(1e-12));
          CHECK(p.mass - price * double(p.cells) == doctest::Approx(best).epsilon(1e-12));
          CHECK(p.blocks.front().begin == 0);
          CHECK(p.blocks.back().end == n);
        }
      }
}

TEST_CASE("baselines: zero is exactly 1, top-k is the best of equal size, random is what draws give on average") {
  const Scores a = attention(12, 5);
  const Fit fit = measure(a, band_of(a, 1));
  const Baselines b = baselines(a, fit.nnz);
  CHECK(b.zero.relative_l1 == 1);
  CHECK(b.zero.relative_frobenius == 1);
  CHECK(measure(a, Cells(12, 12)).relative_l1 == 1);
  CHECK(measure(a, Cells(12, 12)).per_cell == doctest::Approx(1.0 / 12));   // why a mean error alone says nothing
  CHECK(b.top.relative_l1 < fit.relative_l1);
  CHECK(b.top.relative_frobenius < fit.relative_frobenius);
  const Scores even = make_scores(6, 6, std::vector<double>(36, 1.0 / 6), "even");
  CHECK(baselines(even, 4).uniform.relative_l1 == doctest::Approx(0).epsilon(1e-12));
  CHECK(baselines(a, 144).random.relative_l1 == 0);

  Draw draw = draw_of(2);
  double sum = 0, square = 0;
  const int trials = 4000;
  std::vector<int64_t> order(144);
  std::iota(order.begin(), order.end(), 0);
  for (int t = 0; t < trials; ++t) {
    Cells kept(12, 12);
    for (int64_t i = 0; i < fit.nnz; ++i) {
      std::swap(order[size_t(i)], order[size_t(draw.integer(i, 143))]);
      kept.add(order[size_t(i)] / 12, order[size_t(i)] % 12);
    }
    const Fit f = measure(a, kept);
    sum += f.relative_l1 / trials, square += f.relative_frobenius * f.relative_frobenius / trials;
  }
  CHECK(sum == doctest::Approx(b.random.relative_l1).epsilon(0.01));
  CHECK(std::sqrt(square) == doctest::Approx(b.random.relative_frobenius).epsilon(0.01));
}
