// Running sums of a block's threads, in their order. The tree is fixed, so results repeat bit by bit.
#pragma once
#include "engine/core/cuda_reduce.cuh"

namespace alinea::cuda {

/// v ↦ a v + b, the step of a first-order recurrence; x ⊕ y is x, then y.
template <class T>
struct Affine {
  T a, b;
  __device__ static Affine nothing() { return {1, 0}; }
  __device__ Affine operator+(const Affine& y) const { return {a * y.a, y.a * b + y.b}; }
  __device__ T operator()(T v) const { return a * v + b; }
  __device__ Affine from_lane_before(int distance) const { return {__shfl_up_sync(all_lanes, a, unsigned(distance)), __shfl_up_sync(all_lanes, b, unsigned(distance))}; }
};

/// Two sums that share an exponent: e^scale · a and e^scale · b.
template <class T>
struct Scaled {
  T scale, a, b;
  __device__ static Scaled nothing() { return {std::numeric_limits<T>::lowest() / 8, 0, 0}; }   // finite, so that differences are
  __device__ Scaled operator+(const Scaled& y) const {
    const bool larger = scale >= y.scale;
    const T e = std::exp(larger ? y.scale - scale : scale - y.scale);
    return larger ? Scaled{scale, a + y.a * e, b + y.b * e} : Scaled{y.scale, a * e + y.a, b * e + y.b};
  }
  __device__ Scaled from_lane_before(int distance) const {
    const auto d = unsigned(distance);
    return {__shfl_up_sync(all_lanes, scale, d), __shfl_up_sync(all_lanes, a, d), __shfl_up_sync(all_lanes, b, d)};
  }
};

/// The ⊕ of the threads before this one, from the left, and of all threads in `total`. Every thread of the block takes part.
template <class V>
__device__ V sum_before(V v, V& total) {
  __shared__ V parts[warp];
  const int lane = int(threadIdx.x) % warp, own = int(threadIdx.x) / warp, warps = int(blockDim.x) / warp;
  for (int distance = 1; distance < warp; distance *= 2) {
    const V left = v.from_lane_before(distance);
    if (lane >= distance) v = left + v;
  }
  __syncthreads();                                           // the parts of the last sum have been read
  if (lane == warp - 1) parts[own] = v;
  __syncthreads();
  V before = V::nothing();
  total = V::nothing();
  for (int w = 0; w < warps; ++w) {
    if (w == own) before = total;
    total = total + parts[w];
  }
  const V left = v.from_lane_before(1);
  return lane == 0 ? before : before + left;
}

}  // namespace alinea::cuda
