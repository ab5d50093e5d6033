// Rows of softmax and log-softmax. A row is read once per pass (maximum, sum, result); short rows stay in the cache between passes.
#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/cuda_kernels.h"

namespace alinea::cuda {

namespace {

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

template <class T, class Row>
void run(Row row, const Tensor& x, const Tensor& g, const Tensor& out, std::string_view place) {
  const int64_t n = out.shape().last();
  const T *px = x.data<T>(), *pg = g ? g.data<T>() : nullptr;
  T* to = out.data<T>();
  each_row(out.context(), out.shape().rows(), n, place, [=] __device__(int64_t r) { row(px + r * n, pg ? pg + r * n : nullptr, to + r * n, n); });
}

template <class Row>
void over_rows(Row row, const Tensor& x, const Tensor& g, const Tensor& out, std::string_view place) {
  with_float(out.dtype(), place, [&]<class T>() { run<T>(row, x, g, out, place); });
}

}  // namespace

void softmax(const Tensor& x, const Tensor& y) { over_rows(SoftmaxRow{}, x, {}, y, "softmax"); }

void softmax_backward(const Tensor& y, const Tensor& g, const Tensor& dx) { over_rows(SoftmaxBackwardRow{}, y, g, dx, "softmax backward"); }

void log_softmax(const Tensor& x, const Tensor& y) { over_rows(LogSoftmaxRow{}, x, {}, y, "log_softmax"); }

void log_softmax_backward(const Tensor& y, const Tensor& g, const Tensor& dx) { over_rows(LogSoftmaxBackwardRow{}, y, g, dx, "log_softmax backward"); }

}  // namespace alinea::cuda
