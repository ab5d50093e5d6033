// Cross-entropy fused with the log-softmax: a row of logits is read twice going forward and once going back; nothing waits for the host.
#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/cuda_kernels.h"

namespace alinea::cuda {

namespace {

template <class T>
void forward(const CrossEntropyRows& a, double factor, const Tensor& loss) {
  const T* logits = a.logits.data<T>();
  const int64_t *target = a.target.data<int64_t>(), n = a.logits.shape().last(), rows = a.target.count(), ignored = a.ignore_index;
  const double on_target = a.on_target, on_all = a.on_all;
  const Tensor losses = loss.context().empty({rows}, DType::f64);
  T *log_total = a.log_total.data<T>(), *to = loss.data<T>();
  double* row_loss = losses.data<double>();
  each_row(loss.context(), rows, n, "cross_entropy", [=] __device__(int64_t r) {
    if (target[r] == ignored) {
      if (threadIdx.x == 0) log_total[r] = T(0), row_loss[r] = 0;
      return;
    }
    const T* x = logits + r * n;
    const T m = over_row<T>(n, Max{}, [=](int64_t i) { return x[i]; });
    const double total = double(over_row<T>(n, Sum{}, [=](int64_t i) { return std::exp(x[i] - m); }));
    const double plain = on_all == 0 ? 0.0 : over_row<double>(n, Sum{}, [=](int64_t i) { return double(x[i]); });
    if (threadIdx.x != 0) return;
    const double z = double(m) + std::log(total);
    log_total[r] = T(z);
    row_loss[r] = on_target * (z - double(x[target[r]])) + on_all * (double(n) * z - plain);
  });
  each_row(loss.context(), 1, rows, "cross_entropy", [=] __device__(int64_t) {
    const double total = over_row<double>(rows, Sum{}, [=](int64_t r) { return row_loss[r]; });
    if (threadIdx.x == 0) *to = T(factor * total);
  });
}

// d may be the logits.
template <class T>
void backward(const CrossEntropyRows& a, const Tensor& g, double factor, const Tensor& d) {
  const T *logits = a.logits.data<T>(), *log_total = a.log_total.data<T>(), *upstream = g.data<T>();
  const int64_t *target = a.target.data<int64_t>(), n = a.logits.shape().last(), ignored = a.ignore_index;
  const double on_target = a.on_target, on_all = a.on_all;
  T* out = d.data<T>();
  each_row(d.context(), a.target.count(), n, "cross_entropy backward", [=] __device__(int64_t r) {
    const double scale = double(*upstream) * factor;
    const T shift = log_total[r], s = T(scale), b = T(scale * on_all), t = T(scale * on_target);
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
      out[r * n + i] = target[r] == ignored ? T(0) : std::exp(logits[r * n + i] - shift) * s - b - (i == target[r] ? t : T(0));
  });
}

}  // namespace

void cross_entropy(const CrossEntropyRows& a, double factor, const Tensor& loss) {
  with_float(loss.dtype(), "cross_entropy", [&]<class T>() { forward<T>(a, factor, loss); });
}

void cross_entropy_backward(const CrossEntropyRows& a, const Tensor& g, double factor, const Tensor& d) {
  with_float(d.dtype(), "cross_entropy", [&]<class T>() { backward<T>(a, g, factor, d); });
}

}  // namespace alinea::cuda
