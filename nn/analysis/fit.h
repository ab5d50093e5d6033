// How far an approximation X is from the scores A, and what equally many numbers would reach without structure.
#pragma once
#include <span>

#include "nn/analysis/residual.h"

namespace alinea {

/// |·| is the entrywise sum norm. A mean error err₁ / n² says nothing without n (the matrix of zeros has 1 / n): the relative errors and the
/// retained mass are the ones to compare. Retained mass of row i: m_i = Σ_{j in S_i} a_ij / Σ_j a_ij, S_i the stored cells of the row.
struct Fit {
  int64_t nnz = 0;                                          // numbers that X stores
  double l1 = 0, per_cell = 0, relative_l1 = 0;             // |A − X|, over T · S, over |A|
  double frobenius = 0, relative_frobenius = 0;
  double retained = 0, worst = 0;                           // mean and smallest m_i, of rows that hold anything
  int64_t worst_row = 0;
};

/// X holds a_ij in the kept cells, the residual's values in its own, 0 elsewhere.
Fit measure(const Scores& a, const Cells& kept, std::span<const Entry> residual = {});

/// Relative errors of what needs no structure. zero: X = 0 (exactly 1). uniform: every row spreads its sum over the columns it sees. top: the
/// nnz largest scores. random: nnz visible cells drawn without replacement, in expectation: |A − X| / |A| = 1 − nnz / cells, and the root of
/// the same for Frobenius (of the expected square).
struct Baseline {
  double relative_l1 = 0, relative_frobenius = 0;
};
struct Baselines {
  Baseline zero, uniform, top, random;
};
Baselines baselines(const Scores& a, int64_t nnz);

/// Row sums of a matrix of attention weights are 1. The largest |Σ_j a_ij − 1|.
double row_sum_error(const Scores& a);

/// |A − A~| where A~ is the softmax restricted to the kept cells: a_ij / m_i there, 0 elsewhere. For rows that sum to 1 it is exactly
/// 2 Σ_i (1 − m_i), and no other matrix of rows that sum to 1 and live on these cells is nearer. Rows that keep nothing count their sum.
double renormalised_l1(const Scores& a, const Cells& kept);

}  // namespace alinea
