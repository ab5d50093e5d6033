// Products of small matrices that lie in cache: what attention is made of when it works tile by tile, and the innermost part of the product
// of large ones (packed_product.h). No packing inside, no threads; any number of rows, whole vectors of columns.
#pragma once
#include "engine/core/vec.h"

namespace alinea {

/// Columns of a panel: four vectors.
template <class T>
constexpr int64_t panel_width = 4 * lanes<T>;

template <class T>
constexpr int64_t whole_vectors(int64_t n) {
  return (n + lanes<T> - 1) / lanes<T> * lanes<T>;
}
constexpr int64_t whole_fours(int64_t n) { return (n + 3) / 4 * 4; }

/// C [rows, columns] = A B, or C += A B.  A's element (i, l) lies at a[i · row + l · column], so A may be transposed.
/// B [depth, columns] is cut into panels of panel_width columns that lie `panel` apart, their rows ldb apart.
template <class T>
struct TileProduct {
  int64_t rows, columns, depth;
  const T* a;
  int64_t row, column;
  const T* b;
  int64_t ldb, panel;
  T* c;
  int64_t ldc;
  bool add;
};
template <class T>
void tile_product(const TileProduct<T>& p);

/// Whether this processor has AVX-512: 32 registers of 64 bytes, for which blocks of sums are four vectors wide.
bool wide_registers();

/// to [rows -> whole fours, whole_vectors(width)] = factor · from, padded with zeros; rows of `from` lie `step` apart.
template <class T>
void pack_rows(const T* from, int64_t step, int64_t rows, int64_t width, T factor, T* to);

/// factor · from in panels of panel_width columns, [rows, panel_width] each, one after the other; columns past the last, up to a whole vector, are zero.
template <class T>
void pack_panels(const T* from, int64_t step, int64_t rows, int64_t width, T factor, T* to);

/// The transpose in panels: panel j/panel_width holds [width, panel_width] with columns j of `from`'s rows; rows past the last are zero.
/// Needs ⌈rows / panel_width⌉ · panel_width · whole_vectors(width) elements; panels lie panel_width · width apart.
template <class T>
void pack_transposed(const T* from, int64_t step, int64_t rows, int64_t width, T* to);

/// to = factor · from for `rows` rows of `width` numbers.
template <class T>
void scale_rows(const T* from, int64_t from_step, int64_t rows, int64_t width, T factor, T* to, int64_t to_step);

/// Transposes a square of lanes x lanes numbers in registers: log₂(lanes) rounds that swap the off-diagonal quarters.
template <class T>
ALINEA_INLINE void transpose_square(Vec<T> (&r)[lanes<T>]) {
  constexpr int64_t n = lanes<T>;
#pragma GCC unroll 4
  for (int64_t h = n / 2; h > 0; h /= 2) {
    VecMask<T> low, high;
    for (int64_t c = 0; c < n; ++c) {
      low[c] = c & h ? n + c - h : c;
      high[c] = c & h ? n + c : c + h;
    }
#pragma GCC unroll 16
    for (int64_t i = 0; i < n; ++i) {
      if (i & h) continue;
      const Vec<T> a = r[i], b = r[i + h];
      r[i] = __builtin_shuffle(a, b, low);
      r[i + h] = __builtin_shuffle(a, b, high);
    }
  }
}

}  // namespace alinea
