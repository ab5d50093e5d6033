#include "engine/blas/tile.h"

#include <algorithm>

// A kernel for processors with AVX-512, see wide_registers().
#if defined(__x86_64__)
#define ALINEA_WIDE __attribute__((target("arch=x86-64-v4"), noinline))
#else
#define ALINEA_WIDE __attribute__((noinline))
#endif

namespace alinea {

namespace {

// R rows by N vectors of C, all in registers.
template <class T, int R, int N>
ALINEA_INLINE void block(const TileProduct<T>& p, const T* a, const T* b, T* c) {
  for (int r = 0; r < R; ++r)                                // C is wanted at the end and lies in lines that no stream announces
    for (int v = 0; v < N; ++v) __builtin_prefetch(c + r * p.ldc + v * lanes<T>, 1);
  Vec<T> sum[R][N] = {};
  for (int64_t l = 0; l < p.depth; ++l, a += p.column, b += p.ldb) {
    Vec<T> x[N];
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) x[v] = load(b + v * lanes<T>);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const Vec<T> w = a[r * p.row] - Vec<T>{};              // subtracting 0 keeps every bit, so this is one broadcast
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) sum[r][v] += w * x[v];
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {                            // C is read last: the next block need not wait for it
      T* to = c + r * p.ldc + v * lanes<T>;
      store(to, p.add ? load(to) + sum[r][v] : sum[r][v]);
    }
}

// All rows of N vectors of columns: blocks of R rows, what is left in fours, two and one.
template <class T, int R, int N>
ALINEA_INLINE void rows_of(const TileProduct<T>& p, const T* b, T* c) {
  int64_t i = 0;
  for (; i + R <= p.rows; i += R) block<T, R, N>(p, p.a + i * p.row, b, c + i * p.ldc);
  for (; i + 4 <= p.rows; i += 4) block<T, 4, N>(p, p.a + i * p.row, b, c + i * p.ldc);
  if (i + 2 <= p.rows) block<T, 2, N>(p, p.a + i * p.row, b, c + i * p.ldc), i += 2;
  if (i < p.rows) block<T, 1, N>(p, p.a + i * p.row, b, c + i * p.ldc);
}

// 32 registers of 64 bytes hold 6 x 4 sums, a row of B and a number of A: 10 loads for 24 multiplications, which leaves the load units,
// the narrowest way into the arithmetic, time to spare. A panel's last columns take more rows instead.
template <class T>
ALINEA_WIDE void product_wide(const TileProduct<T>& p) {
  int64_t j = 0;
  const T* b = p.b;
  for (; j + panel_width<T> <= p.columns; j += panel_width<T>, b += p.panel) rows_of<T, 6, 4>(p, b, p.c + j);
  const int64_t rest = (p.columns - j) / lanes<T>;
  if (rest == 3) rows_of<T, 6, 3>(p, b, p.c + j);
  else if (rest == 2) rows_of<T, 12, 2>(p, b, p.c + j);
  else if (rest == 1) rows_of<T, 12, 1>(p, b, p.c + j);
}

// 16 registers of 32 bytes hold 6 x 1 of the vectors, each of which takes two.
template <class T>
ALINEA_KERNEL void product_narrow(const TileProduct<T>& p) {
  for (int64_t j = 0; j < p.columns; j += lanes<T>) rows_of<T, 6, 1>(p, p.b + j / panel_width<T> * p.panel + j % panel_width<T>, p.c + j);
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
ALINEA_KERNEL void panels(const T* from, int64_t step, int64_t rows, int64_t width, T factor, T* to) {
  constexpr int64_t w = panel_width<T>;
  for (int64_t r = 0; r < rows; ++r, from += step)
    for (int64_t j = 0; j < width; j += lanes<T>) {
      __builtin_prefetch(from + 4 * step + j);               // short rows far apart are no stream that the processor follows
      store(to + j / w * (w * rows) + r * w + j % w, factor * (j + lanes<T> <= width ? load(from + j) : load_part(from + j, width - j)));
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
        __builtin_prefetch(row + 4 * n);                     // as many streams as a vector has lanes are more than the processor follows
        r[i] = j + i >= rows ? Vec<T>{} : real == n ? load(row) : load_part(row, real);
      }
      transpose_square<T>(r);
      for (int64_t i = 0; i < real; ++i) store(out + (d + i) * w, r[i]);
    }
  }
}

}  // namespace

bool wide_registers() {
#if defined(__x86_64__)
  static const bool found = (__builtin_cpu_init(), __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                                                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd"));
  return found;
#else
  return false;
#endif
}

template <class T>
void tile_product(const TileProduct<T>& p) {
  if (wide_registers()) product_wide(p);
  else product_narrow(p);
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
void pack_panels(const T* from, int64_t step, int64_t rows, int64_t width, T factor, T* to) {
  panels(from, step, rows, width, factor, to);
}

template <class T>
void pack_transposed(const T* from, int64_t step, int64_t rows, int64_t width, T* to) {
  transposed(from, step, rows, width, to);
}

template void tile_product(const TileProduct<float>&);
template void tile_product(const TileProduct<double>&);
template void pack_rows(const float*, int64_t, int64_t, int64_t, float, float*);
template void pack_rows(const double*, int64_t, int64_t, int64_t, double, double*);
template void pack_panels(const float*, int64_t, int64_t, int64_t, float, float*);
template void pack_panels(const double*, int64_t, int64_t, int64_t, double, double*);
template void pack_transposed(const float*, int64_t, int64_t, int64_t, float*);
template void pack_transposed(const double*, int64_t, int64_t, int64_t, double*);
template void scale_rows(const float*, int64_t, int64_t, int64_t, float, float*, int64_t);
template void scale_rows(const double*, int64_t, int64_t, int64_t, double, double*, int64_t);

}  // namespace alinea
