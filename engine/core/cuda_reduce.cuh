// Sums and maxima within a warp, a block, a row or a column of elements. Partial results combine in a fixed tree, so they repeat bit by bit.
#pragma once
#include <math_constants.h>

#include "engine/core/cuda.cuh"

namespace alinea::cuda {

constexpr int warp = 32;
constexpr unsigned all_lanes = 0xffffffffu;

struct Sum {
  template <class T>
  __device__ static T nothing() { return T(0); }
  template <class T>
  __device__ T operator()(T a, T b) const { return a + b; }
};
// NaN wins, so that a row that holds one becomes NaN.
struct Max {
  template <class T>
  __device__ static T nothing() { return T(-CUDART_INF); }
  template <class T>
  __device__ T operator()(T a, T b) const { return a >= b || a != a ? a : b; }
};

/// ⊕ of the v of a warp's lanes, in all of them. All lanes take part.
template <class T, class Op>
__device__ T over_warp(T v, Op op) {
  for (int w = warp / 2; w > 0; w /= 2) v = op(v, __shfl_xor_sync(all_lanes, v, w));
  return v;
}

/// ⊕ of the v of a block's threads, in all of them. The block has one axis of whole warps, and all threads take part.
template <class T, class Op>
__device__ T over_block(T v, Op op) {
  __shared__ T parts[warp];
  v = over_warp(v, op);
  __syncthreads();                                           // the parts of the last reduction have been read
  if (threadIdx.x % warp == 0) parts[threadIdx.x / warp] = v;
  __syncthreads();
  v = parts[0];
  for (unsigned k = 1; k < blockDim.x / warp; ++k) v = op(v, parts[k]);
  return v;
}

/// The threads of a row: a warp (eight rows to a block), or, for a long row, a block of 256.
inline dim3 row_threads(int64_t n) { return n > 1024 ? dim3(256, 1) : dim3(warp, 8); }

/// ⊕ over i = 0 … n-1 of f(i), the same in all threads of the row; blockDim is row_threads(n). Every f(i) has been called when it returns.
template <class T, class Op, class F>
__device__ T over_row(int64_t n, Op op, F f) {
  T v = Op::template nothing<T>();
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) v = op(v, f(i));
  return blockDim.x == warp ? over_warp(v, op) : over_block(v, op);
}

template <class F>
__global__ void rows_kernel(int64_t rows, F f) {
  for (int64_t r = int64_t(blockIdx.x) * blockDim.y + threadIdx.y; r < rows; r += int64_t(gridDim.x) * blockDim.y) f(r);
}

/// f(r) for every row r = 0 … rows-1, called by all threads that row_threads(n) gives a row of n elements: threadIdx.x of blockDim.x.
template <class F>
void each_row(Context& context, int64_t rows, int64_t n, std::string_view place, F f) {
  const dim3 threads = row_threads(n);
  launch(context, place, blocks_for(rows, threads.y), threads, 0, rows_kernel<F>, rows, f);
}

/// Where K column sums go: to[k] = beta[k] · to[k] + Σ; null: not wanted.
template <class T, int K>
struct ColumnSums {
  T* to[K];
  T beta[K];
};

constexpr int column_tile = 32, column_threads = 8;

// A block takes 32 columns of a part of the rows: neighbouring threads read neighbouring elements.
template <class T, int K, class F>
__global__ void column_parts_kernel(int64_t rows, int64_t n, T* parts, F f) {
  __shared__ T shared[K][column_threads][column_tile];
  const int64_t column = int64_t(blockIdx.x) * column_tile + threadIdx.x, begin = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
  T s[K] = {};
  if (column < n)
    for (int64_t r = begin + threadIdx.y; r < end; r += column_threads) f(r, column, s);
  for (int k = 0; k < K; ++k) shared[k][threadIdx.y][threadIdx.x] = s[k];
  __syncthreads();
  if (threadIdx.y != 0 || column >= n) return;
  for (int k = 0; k < K; ++k) {
    T total = 0;
    for (int y = 0; y < column_threads; ++y) total += shared[k][y][threadIdx.x];
    parts[(int64_t(blockIdx.y) * K + k) * n + column] = total;
  }
}

template <class T, int K>
__global__ void column_totals_kernel(int count, int64_t n, const T* parts, ColumnSums<T, K> sums) {
  const int64_t column = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= n) return;
  for (int k = 0; k < K; ++k) {
    if (!sums.to[k]) continue;
    T total = sums.beta[k] == T(0) ? T(0) : sums.beta[k] * sums.to[k][column];
    for (int p = 0; p < count; ++p) total += parts[(int64_t(p) * K + k) * n + column];
    sums.to[k][column] = total;
  }
}

/// K sums over the rows of n columns at once: f(r, c, s) adds row r's share of column c to s[0] … s[K-1].
template <class T, int K, class F>
void sum_columns(Context& context, int64_t rows, int64_t n, std::string_view place, ColumnSums<T, K> sums, F f) {
  const int64_t count = std::clamp<int64_t>(rows / 128, 1, 128);
  const Tensor parts = context.empty({count, K, n}, dtype_of<T>);
  const int64_t tiles = (n + column_tile - 1) / column_tile;
  launch(context, place, Blocks(tiles, count), dim3(column_tile, column_threads), 0, column_parts_kernel<T, K, F>, rows, n, parts.data<T>(), f);
  launch(context, place, (n + 255) / 256, 256, 0, column_totals_kernel<T, K>, int(count), n, parts.data<T>(), sums);
}

template <class T, class F>
__global__ void total_parts_kernel(int64_t n, T* parts, F f) {
  const int64_t begin = n * blockIdx.x / gridDim.x, end = n * (blockIdx.x + 1) / gridDim.x;
  T s = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) s += f(i);
  s = over_block(s, Sum{});
  if (threadIdx.x == 0) parts[blockIdx.x] = s;
}

/// Partial sums of f(i), i = 0 … n-1, that add up to the total; their number depends on n alone.
template <class T, class F>
Tensor total_parts(Context& context, int64_t n, std::string_view place, F f) {
  const int64_t count = std::clamp<int64_t>(n / 4096, 1, 1024);
  const Tensor parts = context.empty({count}, dtype_of<T>);
  launch(context, place, count, 256, 0, total_parts_kernel<T, F>, n, parts.data<T>(), f);
  return parts;
}

}  // namespace alinea::cuda
