// Rows of softmax and log-softmax: one warp for a short row, a block of 256 threads for a long one. A row is read once per pass (maximum,
// sum, result); short rows stay in the cache between passes. Partial sums are added in a fixed order, so results repeat bit by bit.
#include <math_constants.h>

#include "engine/core/cuda.cuh"
#include "engine/ops/cuda_kernels.h"

namespace alinea::cuda {

namespace {

constexpr int warp = 32, long_row_threads = 256, long_row = 1024;

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

// ⊕ over the row of f(i), the same in all threads of the row. Every f(i) has been called when it returns.
template <class T, class Op, class F>
__device__ T over_row(int64_t n, Op op, F f) {
  T v = Op::template nothing<T>();
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) v = op(v, f(i));
  for (int w = warp / 2; w > 0; w /= 2) v = op(v, __shfl_xor_sync(0xffffffffu, v, w));
  if (blockDim.x == warp) return v;
  __shared__ T parts[long_row_threads / warp];
  __syncthreads();                                           // the parts of the last reduction have been read
  if (threadIdx.x % warp == 0) parts[threadIdx.x / warp] = v;
  __syncthreads();
  v = parts[0];
  for (int k = 1; k < long_row_threads / warp; ++k) v = op(v, parts[k]);
  return v;
}

struct SoftmaxRow {
  template <class T>
  __device__ void operator()(const T* x, const T*, T* y, int64_t n) const {
    const T m = over_row<T>(n, Max{}, [=](int64_t i) { return x[i]; });
    if (m == T(-CUDART_INF)) {
      for (int64_t i = threadIdx.x; i < n; i += blockDim.x) y[i] = T(0);
      return;
    }
    const T scale = T(1) / over_row<T>(n, Sum{}, [=](int64_t i) { return std::exp(x[i] - m); });
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) y[i] = std::exp(x[i] - m) * scale;
  }
};

struct LogSoftmaxRow {
  template <class T>
  __device__ void operator()(const T* x, const T*, T* y, int64_t n) const {
    const T m = over_row<T>(n, Max{}, [=](int64_t i) { return x[i]; });
    if (m == T(-CUDART_INF)) {
      for (int64_t i = threadIdx.x; i < n; i += blockDim.x) y[i] = m;
      return;
    }
    const T log_total = std::log(over_row<T>(n, Sum{}, [=](int64_t i) { return std::exp(x[i] - m); }));
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) y[i] = x[i] - m - log_total;
  }
};

// d may be g: every thread has read its elements before it writes them.
struct SoftmaxBackwardRow {
  template <class T>
  __device__ void operator()(const T* y, const T* g, T* d, int64_t n) const {
    const T dot = over_row<T>(n, Sum{}, [=](int64_t i) { return y[i] * g[i]; });
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) d[i] = y[i] * (g[i] - dot);
  }
};

struct LogSoftmaxBackwardRow {
  template <class T>
  __device__ void operator()(const T* y, const T* g, T* d, int64_t n) const {
    if (over_row<T>(n, Max{}, [=](int64_t i) { return y[i]; }) == T(-CUDART_INF)) {
      for (int64_t i = threadIdx.x; i < n; i += blockDim.x) d[i] = T(0);
      return;
    }
    const T total = over_row<T>(n, Sum{}, [=](int64_t i) { return g[i]; });
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) d[i] = g[i] - std::exp(y[i]) * total;
  }
};

// blockDim.x threads work on a row, blockDim.y rows are in a block.
template <class T, class Row>
__global__ void rows_kernel(Row row, const T* a, const T* b, T* out, int64_t rows, int64_t n) {
  for (int64_t r = int64_t(blockIdx.x) * blockDim.y + threadIdx.y; r < rows; r += int64_t(gridDim.x) * blockDim.y)
    row(a + r * n, b ? b + r * n : nullptr, out + r * n, n);
}

template <class T, class Row>
void launch(Row row, const Tensor& a, const Tensor& b, const Tensor& out, std::string_view place) {
  const cudaStream_t stream = stream_of(out.context());
  const int64_t rows = out.shape().rows(), n = out.shape().last();
  if (rows == 0 || n == 0) return;
  const dim3 threads = n > long_row ? dim3(long_row_threads, 1) : dim3(warp, 8);
  const auto blocks = unsigned(std::min<int64_t>((rows + threads.y - 1) / threads.y, 1 << 20));
  rows_kernel<<<blocks, threads, 0, stream>>>(row, a.data<T>(), b ? b.data<T>() : nullptr, out.data<T>(), rows, n);
  check(cudaGetLastError(), place);
}

template <class Row>
void over_rows(Row row, const Tensor& a, const Tensor& b, const Tensor& out, std::string_view place) {
  with_float(out.dtype(), place, [&]<class T>() { launch<T>(row, a, b, out, place); });
}

}  // namespace

void softmax(const Tensor& x, const Tensor& y) { over_rows(SoftmaxRow{}, x, {}, y, "softmax"); }

void softmax_backward(const Tensor& y, const Tensor& g, const Tensor& dx) { over_rows(SoftmaxBackwardRow{}, y, g, dx, "softmax backward"); }

void log_softmax(const Tensor& x, const Tensor& y) { over_rows(LogSoftmaxRow{}, x, {}, y, "log_softmax"); }

void log_softmax_backward(const Tensor& y, const Tensor& g, const Tensor& dx) { over_rows(LogSoftmaxBackwardRow{}, y, g, dx, "log_softmax backward"); }

}  // namespace alinea::cuda
