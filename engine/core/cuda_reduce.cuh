// Sums and maxima within a warp, a block or a row of elements. Partial results combine in a fixed tree, so they repeat bit by bit.
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

}  // namespace alinea::cuda
