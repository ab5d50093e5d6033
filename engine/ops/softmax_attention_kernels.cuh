// Softmax attention in tiles: a block owns a tile of rows (or, for the gradients of keys and values, of columns) and walks along the other axis;
// scores stay in registers and shared memory. The gradients of queries and of keys come from two kernels that both form the scores anew,
// so that no block adds to another's result.
#pragma once
#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/softmax_attention.cuh"

namespace alinea::cuda {

// Narrow heads leave registers for two blocks on a multiprocessor, one of which computes while the other waits for memory.
template <class T, int N>
constexpr int blocks_at_once = N * Tile<T>::side <= 64 ? 2 : 1;

// Columns that each row of a tile sees, in shared memory; the return value is the largest of them. All threads must have read the last ones.
template <class T>
__device__ int64_t visible_rows(const SoftmaxCall<T>& c, int64_t unit, int64_t first, int64_t* visible) {
  constexpr int side = Tile<T>::side;
  for (int r = int(threadIdx.x); r < side; r += tile_threads) visible[r] = first + r < c.rows ? c.mask.visible(unit / c.H, first + r, c.columns) : 0;
  __syncthreads();
  int64_t most = 0;
  for (int r = 0; r < side; ++r) most = visible[r] > most ? visible[r] : most;
  return most;
}

// One row's part of a tile of scores becomes weights; most and total follow. Returns what earlier sums of the row must be multiplied with.
template <class T>
__device__ T online_row(const SoftmaxCall<T>& c, int64_t unit, int64_t row, int64_t first_column, int64_t visible, T (&s)[Tile<T>::micro], T& most, T& total) {
  constexpr int micro = Tile<T>::micro;
  const int64_t column = first_column + Tile<T>::column(0);
  T top = lowest<T>, sum = 0;
  for (int j = 0; j < micro; ++j) {
    s[j] = column + j < visible ? s[j] * c.scale : lowest<T>;
    top = Max{}(s[j], top);
  }
  const T now = Max{}(across_row(top, Max{}), most), base = now == lowest<T> ? T(0) : now, shrink = std::exp(most - base);
  for (int j = 0; j < micro; ++j) sum += s[j] = column + j < visible ? std::exp(s[j] - base) : T(0);
  total = total * shrink + across_row(sum, Sum{});
  most = now;
  if (c.dropout.threshold) {
    T factors[micro];
    c.dropout.fill(unit, row, column, factors);
    for (int j = 0; j < micro; ++j) s[j] *= factors[j];
  }
  return shrink;
}

// N tiles cover the width of a head; loops over them are unrolled, so that they stay in registers. Rows that see most go first, so that no long block starts last.
template <class T, int N>
__global__ void __launch_bounds__(tile_threads, blocks_at_once<T, N>) softmax_forward_kernel(SoftmaxCall<T> c, Heads<T> y, T* log_sum) {
  using G = Tile<T>;
  alignas(16) __shared__ T a[Panel<T>::slice_size], b[Panel<T>::slice_size], weights[Panel<T>::square_size];
  __shared__ int64_t visible[G::side];
  const int64_t tiles = c.row_tiles(), unit = blockIdx.x / tiles, first = (tiles - 1 - blockIdx.x % tiles) * G::side;
  const int64_t columns = visible_rows(c, unit, first, visible);
  const HeadRows<T> queries(c.q, unit, first, c.rows, c.width);
  G sums[N];
  T most[G::micro], total[G::micro];
  for (int i = 0; i < G::micro; ++i) most[i] = lowest<T>, total[i] = 0;
  for (int64_t j = 0; j < columns; j += G::side) {
    G scores;
    add_scores(scores, queries, HeadRows<T>(c.k, unit, j, columns, c.width), c.width, a, b);
    for (int i = 0; i < G::micro; ++i) {
      const T shrink = online_row(c, unit, first + G::row(i), j, visible[G::row(i)], scores.at[i], most[i], total[i]);
#pragma unroll
      for (int n = 0; n < N; ++n)
        for (int e = 0; e < G::micro; ++e) sums[n].at[i][e] *= shrink;
    }
    __syncthreads();                                         // the weights of the last tile have been read
    store_columns(scores, weights);
    const HeadRows<T> values(c.v, unit, j, columns, c.width);
#pragma unroll
    for (int n = 0; n < N; ++n)
      if (n * G::side < c.width) add_weighted(sums[n], weights, values, n * G::side, b);
  }
#pragma unroll
  for (int n = 0; n < N; ++n) write_rows(sums[n], y, unit, first, c.rows, n * G::side, c.width, [&](int i) { return total[i] != 0 ? 1 / total[i] : T(0); });
  if (!log_sum || G::x() != 0) return;
  for (int i = 0; i < G::micro; ++i)
    if (const int64_t row = first + G::row(i); row < c.rows) log_sum[unit * c.rows + row] = visible[G::row(i)] > 0 ? most[i] + std::log(total[i]) : T(0);
}

// From scores s = q·k and t = g·v of one tile: s becomes the weights that v was multiplied with, t the slopes P (g·v − δ).
template <class T>
__device__ void slopes(const SoftmaxCall<T>& c, const SoftmaxOuter<T>& o, int64_t unit, int64_t first_row, int64_t first_column, const int64_t* visible, Tile<T>& s, Tile<T>& t) {
  using G = Tile<T>;
  for (int i = 0; i < G::micro; ++i) {
    const int64_t row = first_row + G::row(i), column = first_column + G::column(0), seen = visible[G::row(i)];
    const T log_sum = seen > 0 ? o.log_sum[unit * c.rows + row] : T(0), delta = seen > 0 ? o.delta[unit * c.rows + row] : T(0);
    T factors[G::micro];
    for (int j = 0; j < G::micro; ++j) factors[j] = 1;
    if (c.dropout.threshold) c.dropout.fill(unit, row, column, factors);
    for (int j = 0; j < G::micro; ++j) {
      const bool here = column + j < seen;
      const T p = here ? std::exp(s.at[i][j] * c.scale - log_sum) : T(0);
      t.at[i][j] = here ? p * (t.at[i][j] * factors[j] - delta) : T(0);
      s.at[i][j] = p * factors[j];
    }
  }
}

template <class T, int N>
__global__ void __launch_bounds__(tile_threads, blocks_at_once<T, N>) softmax_query_kernel(SoftmaxCall<T> c, SoftmaxOuter<T> o, Heads<T> dq) {
  using G = Tile<T>;
  alignas(16) __shared__ T a[Panel<T>::slice_size], b[Panel<T>::slice_size], weights[Panel<T>::square_size];
  __shared__ int64_t visible[G::side];
  const int64_t tiles = c.row_tiles(), unit = blockIdx.x / tiles, first = (tiles - 1 - blockIdx.x % tiles) * G::side;
  const int64_t columns = visible_rows(c, unit, first, visible);
  const HeadRows<T> queries(c.q, unit, first, c.rows, c.width), outer(o.g, unit, first, c.rows, c.width);
  G d[N];
  for (int64_t j = 0; j < columns; j += G::side) {
    const HeadRows<T> keys(c.k, unit, j, columns, c.width);
    G s, t;
    add_scores(s, queries, keys, c.width, a, b);
    add_scores(t, outer, HeadRows<T>(c.v, unit, j, columns, c.width), c.width, a, b);
    slopes(c, o, unit, first, j, visible, s, t);
    __syncthreads();                                         // the slopes of the last tile have been read
    store_columns(t, weights);
#pragma unroll
    for (int n = 0; n < N; ++n)
      if (n * G::side < c.width) add_weighted(d[n], weights, keys, n * G::side, b);
  }
#pragma unroll
  for (int n = 0; n < N; ++n) write_rows(d[n], dq, unit, first, c.rows, n * G::side, c.width, [&](int) { return c.scale; });
}

// dk and dv may be the heads of anything when they are not wanted.
template <class T, int N>
__global__ void __launch_bounds__(tile_threads, blocks_at_once<T, N>) softmax_key_kernel(SoftmaxCall<T> c, SoftmaxOuter<T> o, Heads<T> dk, Heads<T> dv, bool wants_k, bool wants_v) {
  using G = Tile<T>;
  alignas(16) __shared__ T a[Panel<T>::slice_size], b[Panel<T>::slice_size], weights[Panel<T>::square_size];
  __shared__ int64_t visible[G::side];
  const int64_t tiles = c.column_tiles(), unit = blockIdx.x / tiles, first = blockIdx.x % tiles * G::side;
  const HeadRows<T> keys(c.k, unit, first, c.columns, c.width), values(c.v, unit, first, c.columns, c.width);
  G d_keys[N], d_values[N];
  for (int64_t i = 0; i < c.rows; i += G::side) {
    __syncthreads();                                         // the visible columns of the last rows have been read
    if (visible_rows(c, unit, i, visible) <= first) continue;
    const HeadRows<T> queries(c.q, unit, i, c.rows, c.width), outer(o.g, unit, i, c.rows, c.width);
    G s, t;
    add_scores(s, queries, keys, c.width, a, b);
    add_scores(t, outer, values, c.width, a, b);
    slopes(c, o, unit, i, first, visible, s, t);
    __syncthreads();
    if (wants_v) {
      store_rows(s, weights);
#pragma unroll
      for (int n = 0; n < N; ++n)
        if (n * G::side < c.width) add_weighted(d_values[n], weights, outer, n * G::side, b);
      __syncthreads();
    }
    if (!wants_k) continue;
    store_rows(t, weights);
#pragma unroll
    for (int n = 0; n < N; ++n)
      if (n * G::side < c.width) add_weighted(d_keys[n], weights, queries, n * G::side, b);
  }
#pragma unroll
  for (int n = 0; n < N; ++n) {
    if (wants_v) write_rows(d_values[n], dv, unit, first, c.columns, n * G::side, c.width, [](int) { return T(1); });
    if (wants_k) write_rows(d_keys[n], dk, unit, first, c.columns, n * G::side, c.width, [&](int) { return c.scale; });
  }
}

template <class T, int N>
void SoftmaxTiles<T, N>::forward(Context& context, const SoftmaxCall<T>& c, const Tensor& y, T* log_sum) {
  launch(context, "softmax_attention", c.units * c.row_tiles(), tile_threads, 0, softmax_forward_kernel<T, N>, c, Heads<T>(y), log_sum);
}

template <class T, int N>
void SoftmaxTiles<T, N>::query_gradient(Context& context, const SoftmaxCall<T>& c, const SoftmaxOuter<T>& outer, const Tensor& dq) {
  launch(context, "softmax_attention backward", c.units * c.row_tiles(), tile_threads, 0, softmax_query_kernel<T, N>, c, outer, Heads<T>(dq));
}

template <class T, int N>
void SoftmaxTiles<T, N>::key_gradient(Context& context, const SoftmaxCall<T>& c, const SoftmaxOuter<T>& outer, const Tensor& dk, const Tensor& dv) {
  launch(context, "softmax_attention backward", c.units * c.column_tiles(), tile_threads, 0, softmax_key_kernel<T, N>, c, outer, Heads<T>(dk ? dk : dv),
         Heads<T>(dv ? dv : dk), bool(dk), bool(dv));
}

}  // namespace alinea::cuda
