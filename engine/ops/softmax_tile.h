// The row-wise parts of softmax attention on one tile of scores; see softmax_attention.h for the formulas.
#pragma once
#include "engine/core/random.h"

namespace alinea {

/// Row r of the tile sees columns j < visible[r]; the tile starts at column `first` and is `columns` wide, whole vectors.
/// scores become exp(score − most) (times factors, when there), 0 where not seen; most, total and the running sums follow the new maximum.
template <class T>
struct OnlineSoftmax {
  int64_t rows, columns, first;
  const int64_t* visible;
  T* scores;
  const T* factors;                                          // dropout, or none
  int64_t ld;
  T *most, *total, *sums;                                    // per row; sums [rows, width]
  int64_t width;
};
template <class T>
void online_softmax(const OnlineSoftmax<T>& t);

/// From scores and g·v:  weights = P (times factors)  and  slopes = P (g·v · factors − δ), 0 where not seen.
template <class T>
struct SoftmaxSlopes {
  int64_t rows, columns, first;
  const int64_t* visible;
  const T *log_sum, *delta;
  T *weights, *slopes;
  const T* factors;
  int64_t ld;
};
template <class T>
void softmax_slopes(const SoftmaxSlopes<T>& t);

/// One query row against a head's keys and values: y = softmax(scale · q·k) v over `visible` columns. scores: room for visible in whole vectors.
/// Column j lies at places[j] steps from k and v, or at j steps.
template <class T>
struct SoftmaxRow {
  const T *q, *k;
  int64_t k_step;
  const T* v;
  int64_t v_step, visible, width;
  T scale;
  T *scores, *y, *log_sum = nullptr;                         // log_sum may be none
  const int64_t* places = nullptr;
};
template <class T>
void softmax_row(const SoftmaxRow<T>& t);

/// products[r] = a_r · b_r.
template <class T>
void row_products(const T* a, int64_t a_step, const T* b, int64_t b_step, int64_t rows, int64_t width, T* products);

/// Dropout of the weights: row (head · T + i) owns ⌈S/4⌉ random blocks, column j uses number j % 4 of block j / 4. first_column is a multiple of 4.
struct DropoutTile {
  RandomKey key;
  double p;
  int64_t first_row, first_column, blocks;
};
/// factors[r, j] = 0 with probability p, else 1/(1 − p). columns: a multiple of 4, at most 64 are drawn at once.
template <class T>
void fill_factors(const DropoutTile& d, int64_t rows, int64_t columns, T* factors, int64_t ld);

}  // namespace alinea
