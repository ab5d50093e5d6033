// Feature maps of linear attention on the GPU: a warp lifts a row, or takes a gradient back. The formulas stand in feature_map.h.
#pragma once
#include <numbers>

#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/feature_map.h"
#include "engine/ops/heads.h"

namespace alinea::cuda {

template <class T>
struct Lift {
  FeatureMap map;
  FeatureSide side;
  int64_t width, features, heads, first_row;
  T factor;
  const double* extent;                                     // cosformer: one per item
  const T *projection, *transposed;                         // favor: w [M, D] and [D, M]

  static constexpr double favor_floor = 1e-4;
  __device__ static int64_t lane() { return threadIdx.x % warp; }
  __device__ T shrink() const { return T(std::pow(double(width), -0.25)); }
  __device__ T norm() const { return factor / T(std::sqrt(double(features))); }
  __device__ double angle(int64_t unit, int64_t row) const {
    const double part = double(first_row + row + 1) / extent[unit / heads];
    return std::numbers::pi / 2 * (part < 1 ? part : 1);
  }

  /// φ(x) of one row, times factor.
  __device__ void up(int64_t unit, int64_t row, const T* x, T* phi) const {
    if (map == FeatureMap::favor) return random_features(x, phi);
    const double theta = map == FeatureMap::cosformer ? angle(unit, row) : 0;
    const T c = T(std::cos(theta)) * factor, s = T(std::sin(theta)) * factor;
    for (int64_t d = lane(); d < width; d += warp) {
      const T v = x[d];
      if (map == FeatureMap::elu) {
        phi[d] = (v > 0 ? v + 1 : std::exp(v < 0 ? v : T(0))) * factor;
        continue;
      }
      phi[d] = (v < 0 ? T(0) : v) * c;
      if (map == FeatureMap::cosformer) phi[width + d] = (v < 0 ? T(0) : v) * s;
    }
  }
  /// dx of one row from g = dL/d(factor φ).
  __device__ void down(int64_t unit, int64_t row, const T* g, const T* phi, const T* x, T* dx) const {
    if (map == FeatureMap::favor) return random_features_back(g, phi, x, dx);
    const double theta = map == FeatureMap::cosformer ? angle(unit, row) : 0;
    const T c = T(std::cos(theta)) * factor, s = T(std::sin(theta)) * factor;
    for (int64_t d = lane(); d < width; d += warp) {
      const T v = x[d];
      if (map == FeatureMap::elu) dx[d] = g[d] * (v > 0 ? T(1) : std::exp(v < 0 ? v : T(0))) * factor;
      else dx[d] = v > 0 ? g[d] * c + (map == FeatureMap::cosformer ? g[width + d] * s : T(0)) : T(0);
    }
  }

 private:
  __device__ void random_features(const T* x, T* phi) const {
    T square = 0, most = Max::nothing<T>();
    for (int64_t d = lane(); d < width; d += warp) square += shrink() * x[d] * shrink() * x[d];
    for (int64_t r = lane(); r < features; r += warp) {
      T dot = 0;
      for (int64_t d = 0; d < width; ++d) dot += transposed[d * features + r] * (shrink() * x[d]);
      phi[r] = dot;
      most = Max{}(dot, most);
    }
    const T shift = side == FeatureSide::query ? over_warp(most, Max{}) : over_warp(square, Sum{}) / 2;
    for (int64_t r = lane(); r < features; r += warp) phi[r] = (std::exp(phi[r] - shift) + T(favor_floor)) * norm();
  }
  // With a_r = g_r (φ_r − floor): dx' = Σ a_r (w_r − x') for keys, Σ a_r (w_r − w_most) for queries.
  __device__ void random_features_back(const T* g, const T* phi, const T* x, T* dx) const {
    const T floor = norm() * T(favor_floor);
    T total = 0;
    int64_t most = 0;
    for (int64_t r = 0; r < features; ++r) {
      total += g[r] * (phi[r] - floor);
      if (phi[r] > phi[most]) most = r;
    }
    for (int64_t d = lane(); d < width; d += warp) {
      T sum = 0;
      for (int64_t r = 0; r < features; ++r) sum += g[r] * (phi[r] - floor) * projection[r * width + d];
      const T centre = side == FeatureSide::query ? projection[most * width + d] : shrink() * x[d];
      dx[d] = shrink() * (sum - total * centre);
    }
  }
};

template <class T>
__global__ void lift_kernel(Lift<T> lift, Heads<const T> x, T* phi, int64_t units, int64_t rows) {
  for (int64_t r = int64_t(blockIdx.x) * blockDim.y + threadIdx.y; r < units * rows; r += int64_t(gridDim.x) * blockDim.y)
    lift.up(r / rows, r % rows, x.at(r / rows, r % rows), phi + r * lift.features);
}
/// Rows that no one sees have gradient 0 whatever they hold: those from seen[item] on, when it is there.
template <class T>
__global__ void unlift_kernel(Lift<T> lift, const T* g, const T* phi, Heads<const T> x, Heads<T> dx, const int64_t* seen, int64_t units, int64_t rows) {
  for (int64_t r = int64_t(blockIdx.x) * blockDim.y + threadIdx.y; r < units * rows; r += int64_t(gridDim.x) * blockDim.y) {
    const int64_t unit = r / rows, row = r % rows;
    T* to = dx.at(unit, row);
    if (row < seen[unit / lift.heads]) lift.down(unit, row, g + r * lift.features, phi + r * lift.features, x.at(unit, row), to);
    else for (int64_t d = lift.lane(); d < lift.width; d += warp) to[d] = T(0);
  }
}

}  // namespace alinea::cuda
