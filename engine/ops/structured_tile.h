// The row-wise parts of structured attention on one tile: per row an interval of near columns, then far columns (gathered) with a mask,
// then random keys one by one. See structured_attention.h for the formulas.
#pragma once
#include <cstdint>

namespace alinea {

/// Scores of one tile, ld apart: columns 0 … near−1, then far ones near … near+far−1 (both whole vectors).
/// Row r sees near columns begin[r] … end[r]−1 and the far columns c with seen[r · far + c] = 1 (0 elsewhere).
template <class T>
struct StructuredTile {
  int64_t rows, near, far;
  const int64_t *begin, *end;
  const T* seen;
  T* scores;
  const T* factors;                                          // dropout, laid out as scores; or none
  int64_t ld;
};

/// scores become exp(score − most) (times factors), 0 where not seen; most, total and sums [rows, width] follow the new maximum.
template <class T>
void structured_online(const StructuredTile<T>& t, T* most, T* total, T* sums, int64_t width);

/// From scores and slopes = g·v:  scores become P (times factors) and slopes P (g·v · factors − δ), 0 where not seen.
template <class T>
void structured_slopes(const StructuredTile<T>& t, const T* log_sum, const T* delta, T* slopes);

/// seen[r, c] = 1 where column c lies outside begin[r] … end[r]−1, before visible[r] and within `extent` of position[r], else 0; ld ≥ count numbers a row.
struct FarColumns {
  int64_t rows, count, ld, extent;
  const int32_t* columns;
  const int64_t *begin, *end, *visible, *position;
};
template <class T>
void mark_seen(const FarColumns& t, T* seen);

/// Learned bias along the diagonals: row r has its bias of near column x at bias[at[r] + x], for x in begin[r] … end[r]−1.
template <class T>
struct DiagonalBias {
  int64_t rows;
  const int64_t *begin, *end, *at;
  int64_t ld;
};
/// scores += bias, and bias += slopes.
template <class T>
void add_diagonals(const DiagonalBias<T>& t, const T* bias, T* scores);
template <class T>
void sum_diagonals(const DiagonalBias<T>& t, const T* slopes, T* bias);

/// One row against single keys (random ones). q and k may be missing: all scores are 0 then.
template <class T>
struct SingleKeys {
  int64_t count;
  const int32_t* columns;
  const T* factors;                                          // one per key, or none
  const T *q, *k;                                            // q is scaled
  int64_t k_step;
  const T* v;
  int64_t v_step, width;
};
template <class T>
void single_online(const SingleKeys<T>& t, T* most, T* total, T* sums);
/// dq += ds k, dk[column] += ds q, dv[column] += p g; dq, dk may be none with q. g [width]; rows of dk and dv lie d_step apart.
template <class T>
void single_slopes(const SingleKeys<T>& t, const T* g, T log_sum, T delta, T* dq, T* dk, T* dv, int64_t d_step);

/// to[i] += factor · from[i] for rows of `width` numbers.
template <class T>
void add_rows(const T* from, int64_t from_step, int64_t rows, int64_t width, T factor, T* to, int64_t to_step);
template <class T>
T dot(const T* a, const T* b, int64_t width);

}  // namespace alinea
