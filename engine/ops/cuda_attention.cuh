// What the tiled attention kernels share: one head's rows as operands of tile products, and dropout of a tile.
#pragma once
#include "engine/core/cuda_mask.cuh"
#include "engine/core/cuda_tile.cuh"
#include "engine/core/random.h"
#include "engine/ops/heads.h"

namespace alinea::cuda {

/// Rows first … first + side - 1 of one head as numbers (row, d); 0 from row `rows` on and beyond `width`, which are never read.
template <class T>
struct HeadRows {
  const T* data;                                            // row 0
  int64_t step, first, rows, width;

  __device__ HeadRows(const Heads<const T>& x, int64_t unit, int64_t first, int64_t rows, int64_t width)
      : HeadRows(x.at(unit), x.row, first, rows, width) {}
  __device__ HeadRows(const T* data, int64_t step, int64_t first, int64_t rows, int64_t width) : data(data), step(step), first(first), rows(rows), width(width) {}
  /// to[k][i] = (row first + i, number d0 + k).
  __device__ void stage_transposed(T* to, int64_t d0) const {
    stage_along_depth<T>(to, [&](int k) {
      const int64_t d = d0 + k;
      const T* from = data + first * step + d;
      const int64_t count = d < width ? rows - first : 0;
      return [=, s = step](int i) { return i < count ? from[i * s] : T(0); };
    });
  }
  /// to[k][i] = (row first + r0 + k, number d0 + i).
  __device__ void stage(T* to, int64_t r0, int64_t d0) const {
    stage_along_side<T>(to, [&](int i) {
      const int64_t d = d0 + i;
      const T* from = data + (first + r0) * step + d;
      const int64_t count = d < width ? rows - first - r0 : 0;
      return [=, s = step](int k) { return k < count ? from[k * s] : T(0); };
    });
  }
};

/// The same with row i times factor[i] (none: 1), and one more number in each row, last[i] (none: 1), at `width`. A factor of 0 hides what a row holds.
template <class T>
struct ExtendedRows {
  HeadRows<T> rows;
  const T *factor, *last;

  __device__ T at(int64_t row, int64_t d) const {
    if (row >= rows.rows || d > rows.width) return T(0);
    if (d == rows.width) return last ? last[row] : T(1);
    const T f = factor ? factor[row] : T(1);
    return f == 0 ? T(0) : f * rows.data[row * rows.step + d];
  }
  __device__ void stage_transposed(T* to, int64_t d0) const {
    stage_along_depth<T>(to, [&](int k) { return [=, *this](int i) { return at(rows.first + i, d0 + k); }; });
  }
  __device__ void stage(T* to, int64_t r0, int64_t d0) const {
    stage_along_side<T>(to, [&](int i) { return [=, *this](int k) { return at(rows.first + r0 + k, d0 + i); }; });
  }
};

/// c += A Bᵀ over `width`: a tile of scores. `a_slice` and `b_slice` are slices of shared memory.
template <class T, class A, class B>
__device__ void add_scores(Tile<T>& c, const A& a, const B& b, int64_t width, T* a_slice, T* b_slice) {
  for (int64_t d = 0; d < width; d += Panel<T>::slice) {
    __syncthreads();
    a.stage_transposed(a_slice, d);
    b.stage_transposed(b_slice, d);
    __syncthreads();
    multiply(c, a_slice, b_slice, Panel<T>::slice);
  }
}

/// c += A B over `depth`: numbers d of A's rows meet rows d of B, columns d0 … of them.
template <class T, class A, class B>
__device__ void add_product(Tile<T>& c, const A& a, const B& b, int64_t depth, int64_t d0, T* a_slice, T* b_slice) {
  for (int64_t k = 0; k < depth; k += Panel<T>::slice) {
    __syncthreads();
    a.stage_transposed(a_slice, k);
    b.stage(b_slice, k, d0);
    __syncthreads();
    multiply(c, a_slice, b_slice, Panel<T>::slice);
  }
}

/// c += W B, W[k][r] a square in shared memory (written by all threads before the call), B the tile's rows, columns d0 … of them.
template <class T, class B>
__device__ void add_weighted(Tile<T>& c, const T* weights, const B& b, int64_t d0, T* slice) {
  for (int r = 0; r < Tile<T>::side; r += Panel<T>::slice) {
    __syncthreads();
    b.stage(slice, r, d0);
    __syncthreads();
    multiply(c, weights + r * Panel<T>::ld, slice, Panel<T>::slice);
  }
}

/// Row i of the tile to y's row first + i, times factor(i); columns d0 … of `width`.
template <class T, class F>
__device__ void write_rows(const Tile<T>& c, const Heads<T>& y, int64_t unit, int64_t first, int64_t rows, int64_t d0, int64_t width, F factor) {
  using G = Tile<T>;
  for (int i = 0; i < G::micro; ++i) {
    const int64_t row = first + G::row(i);
    if (row >= rows) return;
    T* to = y.at(unit, row) + d0;
    for (int j = 0; j < G::micro; ++j)
      if (d0 + G::column(j) < width) to[G::column(j)] = c.at[i][j] * factor(i);
  }
}

/// Dropout of attention weights: row (unit · T + i) owns ⌈S/4⌉ random blocks, column j uses number j % 4 of block j / 4.
struct WeightDropout {
  RandomKey key;
  uint32_t threshold = 0;                                   // 0: nothing is dropped
  double kept = 1;                                          // 1 / (1 − p)
  int64_t rows = 0, blocks = 0;

  WeightDropout() = default;
  WeightDropout(RandomKey key, double p, int64_t rows, int64_t columns)
      : key(key), threshold(p > 0 ? uint32_t(std::min(p * 0x1p32, 0x1.fffffffep31)) : 0), kept(1 / (1 - p)), rows(rows), blocks((columns + 3) / 4) {}
  __device__ double factor(int64_t unit, int64_t row, int64_t column) const {
    if (threshold == 0) return 1;
    const auto block = key.block(uint64_t((unit * rows + row) * blocks + column / 4));
    return block[size_t(column % 4)] < threshold ? 0 : kept;
  }
  /// The factors of n ≤ 4 neighbouring columns of one block.
  template <class T, int n>
  __device__ void fill(int64_t unit, int64_t row, int64_t column, T (&factors)[n]) const {
    const auto block = key.block(uint64_t((unit * rows + row) * blocks + column / 4));
    for (int j = 0; j < n; ++j) factors[j] = block[size_t((column + j) % 4)] < threshold ? T(0) : T(kept);
  }
};

}  // namespace alinea::cuda
