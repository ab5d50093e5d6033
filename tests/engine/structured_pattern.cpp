#include "tests/engine/structured.h"

using namespace alinea;

TEST_CASE("pairs of a pattern are counted, not walked over the map") {
  for (const auto& [n, w] : {std::pair{1, 0}, {7, 0}, {7, 2}, {7, 6}, {7, 20}, {64, 5}})
    for (const bool causal : {false, true}) {
      StructuredPattern p;
      p.heads[0].half_width = w;
      if (causal) p.mask.rule = Mask::Rule::causal;
      CHECK(p.pairs(0, 0, n, n) == StructuredPattern::band_pairs(n, w, causal));
    }
  Draw draw(RandomKey{77});
  for (int64_t n = 1; n < 40; ++n) {
    const StructuredPattern p = random_pattern(draw, 1, 2, n);
    int64_t expected = 0;
    for (int64_t i = 0; i < n; ++i) {
      std::vector<int32_t> row;
      for (int64_t j = 0; j < n; ++j)
        if (reads(p, 0, 1, i, j, n) != Reads::no) row.push_back(int32_t(j));
      CHECK(p.keys(0, 1, i, n) == row);
      expected += int64_t(row.size());
    }
    CHECK(p.pairs(0, 1, n, n) == expected);
  }
  StructuredPattern columns;                                                      // n (2w + 1) − w (w + 1) + Σ_c (n − rows whose band holds c)
  columns.heads[0].half_width = 3;
  columns.columns = {{{0, {0, 10, 11}}}};
  CHECK(columns.pairs(0, 0, 50, 50) == StructuredPattern::band_pairs(50, 3) + (50 - 4) + 2 * (50 - 7));
}

TEST_CASE("columns by rarity: the rarest, ties to the lower position, one per token when asked, prefixes alone for causal rows") {
  const std::vector<double> rarity{1, 5, 3, 5, -INFINITY, 2, 7, 5};
  CHECK(top_columns(rarity, 2) == ColumnRuns{{0, {1, 6}}});
  CHECK(top_columns(rarity, 3) == ColumnRuns{{0, {1, 3, 6}}});
  CHECK(top_columns(rarity, 20) == ColumnRuns{{0, {0, 1, 2, 3, 5, 6, 7}}});
  CHECK(top_columns(rarity, 0).empty());
  const std::vector<int64_t> tokens{1, 9, 2, 9, 0, 3, 4, 9};
  CHECK(top_columns(rarity, 3, tokens) == ColumnRuns{{0, {1, 2, 6}}});
  CHECK(prefix_columns(rarity, 2) == ColumnRuns{{0, {0}}, {1, {0, 1}}, {2, {1, 2}}, {3, {1, 3}}, {6, {1, 6}}});
  CHECK(prefix_columns(rarity, 2, tokens) == ColumnRuns{{0, {0}}, {1, {0, 1}}, {2, {1, 2}}, {6, {1, 6}}});
  Draw draw(RandomKey{5});
  for (int64_t n = 1; n < 60; ++n) {
    std::vector<double> x;
    for (int64_t i = 0; i < n; ++i) x.push_back(double(draw.integer(0, 30)));
    const int64_t r = draw.integer(1, 8);
    StructuredPattern p;
    p.columns = {prefix_columns(x, r)};
    for (int64_t i = 0; i < n; ++i) {
      const auto run = p.run(0, 0, i);
      CHECK(std::vector<int32_t>(run.begin(), run.end()) == top_columns(std::span(x).first(size_t(i + 1)), r)[0].columns);
    }
  }
  CHECK(fixed_columns(std::vector<int64_t>{4, -1, 2, 2, 2, 7}, 2) == std::vector<ColumnRuns>{{{0, {2, 4}}}, {{0, {2, 7}}}});
}
