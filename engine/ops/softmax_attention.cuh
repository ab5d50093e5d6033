// Softmax attention in tiles, as its host side sees it: what the kernels are given, and the sizes they are compiled for.
#pragma once
#include "engine/ops/cuda_attention.cuh"

namespace alinea::cuda {

template <class T>
struct SoftmaxCall {
  Heads<const T> q, k, v;
  MaskView mask;
  WeightDropout dropout;
  int64_t units, H, rows, columns, width;                    // units: batch · heads; rows and columns of a head: T and S
  T scale;

  static constexpr int side = Tile<T>::side;
  __host__ __device__ int64_t row_tiles() const { return (rows + side - 1) / side; }
  __host__ __device__ int64_t column_tiles() const { return (columns + side - 1) / side; }
};

template <class T>
struct SoftmaxOuter {                                       // what backward has besides
  Heads<const T> g;
  const T *log_sum, *delta;                                 // [units, T]
};

/// Heads that N tiles cover, N · Tile<T>::side numbers at most. Each of the four sizes below is compiled in a file of its own, softmax_attention_*.cu, side by side:
/// they are the slowest kernels to compile.
template <class T, int N>
struct SoftmaxTiles {
  static void forward(Context& context, const SoftmaxCall<T>& call, const Tensor& y, T* log_sum);   // log_sum: null when not wanted
  static void query_gradient(Context& context, const SoftmaxCall<T>& call, const SoftmaxOuter<T>& outer, const Tensor& dq);
  static void key_gradient(Context& context, const SoftmaxCall<T>& call, const SoftmaxOuter<T>& outer, const Tensor& dk, const Tensor& dv);   // one may be none
};

/// f.operator()<N>() with the number of tiles that cover a width of at most 256.
template <class T, class F>
void with_softmax_tiles(int64_t width, F f) {
  constexpr int per_64 = 64 / Tile<T>::side;
  if (width <= 64) f.template operator()<per_64>();
  else f.template operator()<4 * per_64>();
}

}  // namespace alinea::cuda
