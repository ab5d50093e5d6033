#include "engine/core/cuda.cuh"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/elementwise_math.h"

namespace alinea::cuda {

namespace {

struct Identity {
  template <class T>
  __device__ T value(T x) const { return x; }
};

// f(h + b), row by row; h + b stays in h when y is another tensor.
template <class T, class F>
void add_and_apply(F f, const Tensor& h, const Tensor& bias, const Tensor& y) {
  T *in = h.data<T>(), *out = y.data<T>();
  const T* b = bias ? bias.data<T>() : nullptr;
  const int64_t n = h.shape().last();
  each(h.context(), h.count(), "bias_activation", [=] __device__(int64_t i) {
    const T v = b ? in[i] + b[i % n] : in[i];
    if (in != out) in[i] = v;
    out[i] = f.value(v);
  });
}

template <class T>
void add_three(const Tensor& x, const Tensor& residual, const Tensor& bias, const Tensor& hidden, const Tensor& y) {
  const T *px = x.data<T>(), *pr = residual.data<T>(), *pb = bias.data<T>();
  T *h = hidden ? hidden.data<T>() : nullptr, *out = y.data<T>();
  const int64_t n = x.shape().last();
  each(x.context(), x.count(), "add_bias_gelu", [=] __device__(int64_t i) {
    const T v = px[i] + pr[i] + pb[i % n];
    if (h) h[i] = v;
    out[i] = math::Gelu{}.value(v);
  });
}

constexpr int side = 32;

// 32 columns per block; 32 threads of a column take every 32nd row, then their sums are added in order.
template <class T>
__global__ void column_sums_kernel(const T* x, T* sums, T beta, int64_t rows, int64_t n) {
  __shared__ T parts[side][side];
  const int64_t column = int64_t(blockIdx.x) * side + threadIdx.x;
  T s = 0;
  if (column < n)
    for (int64_t r = threadIdx.y; r < rows; r += side) s += x[r * n + column];
  parts[threadIdx.y][threadIdx.x] = s;
  __syncthreads();
  if (threadIdx.y != 0 || column >= n) return;
  s = beta == T(0) ? T(0) : beta * sums[column];
  for (int k = 0; k < side; ++k) s += parts[k][threadIdx.x];
  sums[column] = s;
}

}  // namespace

void bias_activation(const Tensor& h, const Tensor& bias, Activation activation, const Tensor& y) {
  with_float(h.dtype(), "bias_activation", [&]<class T>() {
    if (activation == Activation::relu) add_and_apply<T>(math::Relu{}, h, bias, y);
    else if (activation == Activation::gelu) add_and_apply<T>(math::Gelu{}, h, bias, y);
    else add_and_apply<T>(Identity{}, h, bias, y);
  });
}

void add_bias_gelu(const Tensor& x, const Tensor& residual, const Tensor& bias, const Tensor& hidden, const Tensor& y) {
  with_float(x.dtype(), "add_bias_gelu", [&]<class T>() { add_three<T>(x, residual, bias, hidden, y); });
}

void activation_backward(const Tensor& g, const Tensor& hidden, Activation activation, const Tensor& out) {
  if (activation == Activation::relu) apply_slope(math::Relu{}, hidden, g, out);
  if (activation == Activation::gelu) apply_slope(math::Gelu{}, hidden, g, out);
}

void column_sums(const Tensor& x, double beta, const Tensor& sums) {
  with_float(x.dtype(), "column sums", [&]<class T>() {
    const int64_t n = x.shape().last();
    launch(x.context(), "column sums", unsigned((n + side - 1) / side), dim3(side, side), 0, column_sums_kernel<T>, x.data<T>(), sums.data<T>(), T(beta), x.shape().rows(), n);
  });
}

}  // namespace alinea::cuda
