// Scores that tests of the analysis make up.
#pragma once
#include <cmath>
#include <vector>

#include "engine/core/random.h"
#include "nn/analysis/analysis.h"

namespace alinea {

inline Draw draw_of(uint64_t seed) { return Draw(RandomKey{seed}.child("analysis")); }

inline Scores random_scores(int64_t rows, int64_t columns, uint64_t seed, bool causal = false) {
  Draw draw = draw_of(seed);
  std::vector<double> a;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) a.push_back(causal && j > i ? 0 : 0.01 + draw.uniform());
  return make_scores(rows, columns, a, "random");
}

// Rows sum to 1, some weights much larger than others.
inline Scores attention(int64_t n, uint64_t seed, bool causal = false) {
  Draw draw = draw_of(seed);
  std::vector<double> a(size_t(n * n), 0.0);
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < (causal ? i + 1 : n); ++j) sum += a[size_t(i * n + j)] = std::exp(2 * draw.normal());
    for (int64_t j = 0; j < n; ++j) a[size_t(i * n + j)] /= sum;
  }
  return make_scores(n, n, a, "attention");
}

inline Cells band_of(const Scores& a, int64_t w) {
  Cells kept(a.rows, a.columns);
  add_band(kept, a, w);
  return kept;
}

}  // namespace alinea
