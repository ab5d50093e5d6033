// Decoding with linear attention: new columns are folded into the sums, and rows read them. All positions count against one extent.
#include "engine/core/cuda_upload.cuh"
#include "engine/ops/attention_rows.cuh"
#include "engine/ops/cuda_attention_kernels.h"
#include "engine/ops/linear_features.cuh"

namespace alinea::cuda {

namespace {

// φ(x) [units, rows, M], times `factor`; row 0 stands at position first_row.
template <class T>
Tensor lifted(const LinearForm& form, FeatureSide side, const Tensor& x, int64_t first_row, double extent, T factor) {
  Context& context = x.context();
  const int64_t units = x.size(0) * x.size(1), rows = x.size(2);
  const Tensor extents = upload(context, std::vector<double>{extent});
  const Tensor projection = form.projection ? form.projection.to(context).to(x.dtype()) : Tensor(), transposed = projection ? projection.permute({1, 0}).compact() : Tensor();
  const Lift<T> lift{form.map, side, x.size(3), feature_count(form.map, x.size(3), form.projection), units, first_row, factor, extents.data<double>(),
                     projection ? projection.data<T>() : nullptr, transposed ? transposed.data<T>() : nullptr};
  const Tensor phi = context.empty(Shape{units, rows, lift.features}, x.dtype());
  launch(context, "linear_attention state", blocks_for(units * rows, warps_of_block), dim3(warp, warps_of_block), 0, lift_kernel<T>, lift, Heads<const T>(x), phi.data<T>(), units, rows);
  return phi;
}

template <class T>
void fold(const Tensor& features, const Tensor& v, const Tensor& states, const Tensor& feature_sums) {
  const int64_t n = v.size(2), D = v.size(3), M = features.size(2);
  const T* phi = features.data<T>();
  const Heads<const T> values(v);
  T *state = states.data<T>(), *sums = feature_sums.data<T>();
  each(v.context(), features.size(0) * M * (D + 1), "linear_attention state", [=] __device__(int64_t i) {
    const int64_t e = i % (D + 1), m = i / (D + 1) % M, unit = i / (D + 1) / M;
    T& sum = e < D ? state[(unit * M + m) * D + e] : sums[unit * M + m];
    T total = sum;
    for (int64_t j = 0; j < n; ++j) total += phi[(unit * n + j) * M + m] * (e < D ? values.at(unit, j)[e] : T(1));
    sum = total;
  });
}

// A warp per row.
template <class T>
__global__ void read_kernel(const T* phi, const T* state, const T* sums, int64_t units, int64_t rows, int64_t M, int64_t D, T eps, bool clamp, Heads<T> y) {
  const int64_t index = int64_t(blockIdx.x) * warps_of_block + threadIdx.x / warp, unit = index / rows, lane = threadIdx.x % warp;
  if (unit >= units) return;
  phi += index * M, state += unit * M * D, sums += unit * M;
  T z = 0;
  for (int64_t m = lane; m < M; m += warp) z += phi[m] * sums[m];
  z = over_warp(z, Sum{});
  const T w = 1 / (clamp ? (z < eps ? eps : z) : z + eps);
  T* to = y.at(unit, index % rows);
  for (int64_t e = lane; e < D; e += warp) {
    T s = 0;
    for (int64_t m = 0; m < M; ++m) s += phi[m] * state[m * D + e];
    to[e] = s * w;
  }
}

}  // namespace

void linear_state_append(const LinearForm& form, const Tensor& k, const Tensor& v, int64_t first_column, double extent, const Tensor& state, const Tensor& sums) {
  with_float(v.dtype(), "linear_attention", [&]<class T>() { fold<T>(lifted<T>(form, FeatureSide::key, k, first_column, extent, T(1)), v, state, sums); });
}

void linear_state_step(const LinearForm& form, const Tensor& q, int64_t first_row, double extent, const Tensor& state, const Tensor& sums, const Tensor& y) {
  with_float(q.dtype(), "linear_attention", [&]<class T>() {
    const Tensor phi = lifted<T>(form, FeatureSide::query, q, first_row, extent, T(form.scale));
    const int64_t units = phi.size(0), rows = phi.size(1);
    launch(q.context(), "linear_attention state", blocks_of_rows(units * rows), warps_of_block * warp, 0, read_kernel<T>, phi.data<T>(), state.data<T>(), sums.data<T>(), units,
           rows, phi.size(2), q.size(3), T(form.eps), form.floor == Floor::clamp, Heads<T>(y));
  });
}

}  // namespace alinea::cuda
