#include "engine/ops/tile.h"

#include <algorithm>

namespace alinea {

namespace {

// R rows by N vectors of C, all in registers.
template <class T, int R, int N>
ALINEA_INLINE void block(const TileProduct<T>& p, const T* a, const T* b, T* c) {
  Vec<T> sum[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) sum[r][v] = p.add ? load(c + r * p.ldc + v * lanes<T>) : Vec<T>{};
  for (int64_t l = 0; l < p.depth; ++l, a += p.column, b += p.ldb) {
    Vec<T> x[N];
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) x[v] = load(b + v * lanes<T>);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec<T> w = a[r * p.row] - Vec<T>{};              // subtracting 0 keeps every bit, so this is one broadcast
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) sum[r][v] += w * x[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) store(c + r * p.ldc + v * lanes<T>, sum[r][v]);
}

// One panel of N vectors: blocks of 8 rows where that many sums fit into the registers, else of 4.
template <class T, int N>
ALINEA_INLINE void panel(const TileProduct<T>& p, const T* b, T* c) {
  int64_t i = 0;
  if constexpr (N <= 3)
    for (; i + 8 <= p.rows; i += 8) block<T, 8, N>(p, p.a + i * p.row, b, c + i * p.ldc);
  for (; i < p.rows; i += 4) block<T, 4, N>(p, p.a + i * p.row, b, c + i * p.ldc);
}

template <class T>
ALINEA_KERNEL void product(const TileProduct<T>& p) {
  int64_t j = 0;
  const T* b = p.b;
  for (; j + panel_width<T> <= p.columns; j += panel_width<T>, b += p.panel) panel<T, 4>(p, b, p.c + j);
  const int64_t rest = (p.columns - j) / lanes<T>;
  if (rest == 3) panel<T, 3>(p, b, p.c + j);
  else if (rest == 2) panel<T, 2>(p, b, p.c + j);
  else if (rest == 1) panel<T, 1>(p, b, p.c + j);
}

template <class T>
ALINEA_KERNEL void scaled(const T* from, int64_t from_step, int64_t rows, int64_t width, T factor, T* to, int64_t to_step) {
  for (int64_t r = 0; r < rows; ++r, from += from_step, to += to_step) {
    int64_t d = 0;
    for (; d + lanes<T> <= width; d += lanes<T>) store(to + d, load(from + d) * factor);
    for (; d < width; ++d) to[d] = from[d] * factor;
  }
}

template <class T>
ALINEA_KERNEL void transposed(const T* from, int64_t step, int64_t rows, int64_t width, T* to) {
  constexpr int64_t n = lanes<T>, w = panel_width<T>;
  for (int64_t j = 0; j < (rows + w - 1) / w * w; j += n) {
    T* out = to + j / w * (w * width) + j % w;
    for (int64_t d = 0; d < width; d += n) {
      Vec<T> r[n];
      const int64_t real = std::min(n, width - d);
      for (int64_t i = 0; i < n; ++i) {
        const T* row = from + (j + i) * step + d;
        r[i] = j + i >= rows ? Vec<T>{} : real == n ? load(row) : load_part(row, real);
      }
      transpose_square<T>(r);
      for (int64_t i = 0; i < real; ++i) store(out + (d + i) * w, r[i]);
    }
  }
}

}  // namespace

template <class T>
void tile_product(const TileProduct<T>& p) {
  product(p);
}

template <class T>
void scale_rows(const T* from, int64_t from_step, int64_t rows, int64_t width, T factor, T* to, int64_t to_step) {
  scaled(from, from_step, rows, width, factor, to, to_step);
}

template <class T>
void pack_rows(const T* from, int64_t step, int64_t rows, int64_t width, T factor, T* to) {
  const int64_t padded = whole_vectors<T>(width);
  scaled(from, step, rows, width, factor, to, padded);
  if (padded != width)
    for (int64_t r = 0; r < rows; ++r) std::fill(to + r * padded + width, to + (r + 1) * padded, T(0));
  std::fill(to + rows * padded, to + whole_fours(rows) * padded, T(0));
}

template <class T>
void pack_transposed(const T* from, int64_t step, int64_t rows, int64_t width, T* to) {
  transposed(from, step, rows, width, to);
}

template void tile_product(const TileProduct<float>&);
template void tile_product(const TileProduct<double>&);
template void pack_rows(const float*, int64_t, int64_t, int64_t, float, float*);
template void pack_rows(const double*, int64_t, int64_t, int64_t, double, double*);
template void pack_transposed(const float*, int64_t, int64_t, int64_t, float*);
template void pack_transposed(const double*, int64_t, int64_t, int64_t, double*);
template void scale_rows(const float*, int64_t, int64_t, int64_t, float, float*, int64_t);
template void scale_rows(const double*, int64_t, int64_t, int64_t, double, double*, int64_t);

}  // namespace alinea
