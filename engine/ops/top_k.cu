// The best of rows. Each of the k is a maximum over what comes after the one before: a row read from the cache k times, without a sort. All that is
// found stands in one tensor, so that the host waits once: for each row k values, their k columns, and log Σ exp.
#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/cuda_losses.h"

namespace alinea::cuda {

namespace {

template <class T>
TopK::Result best(const TopK& op, const Tensor& x) {
  const int64_t rows = x.size(0), n = x.size(1), k = op.k;
  Context& context = x.context();
  const int64_t width = 2 * k + 1;
  const bool log_sum = op.log_sum;
  const Tensor all = context.empty({rows, width}, DType::f64);
  const T* in = x.data<T>();
  double* found = all.data<double>();
  each_row(context, rows, n, "top_k", [=] __device__(int64_t r) {
    const T lowest = T(-CUDART_INF), *row = in + r * n;
    double* to = found + r * width;
    T last = T(CUDART_INF), most = lowest;
    int64_t at = -1;
    for (int64_t j = 0; j < k; ++j) {
      // An element comes after the last one found when it is smaller, or equal and further right; NaN never does.
      auto after = [=](int64_t i) { return row[i] < last || (row[i] == last && i > at); };
      const T high = over_row<T>(n, Max{}, [=](int64_t i) { return after(i) ? row[i] : lowest; });
      const double first = high == lowest ? 1.0 : over_row<double>(n, Max{}, [=](int64_t i) { return after(i) && row[i] == high ? -double(i) : -CUDART_INF; });
      if (j == 0) most = high;
      last = high, at = -int64_t(first);
      if (threadIdx.x == 0) to[j] = double(high), to[k + j] = double(at);
    }
    if (!log_sum) {
      if (threadIdx.x == 0) to[2 * k] = 0;
      return;
    }
    const T base = most == lowest ? T(0) : most;
    const double total = over_row<double>(n, Sum{}, [=](int64_t i) { return double(std::exp(row[i] - base)); });
    if (threadIdx.x == 0) to[2 * k] = double(base) + std::log(total);
  });
  TopK::Result out;
  const auto host = all.values<double>();
  for (auto row = host.begin(); row != host.end(); row += width) {
    for (int64_t j = 0; j < k; ++j) out.entries.push_back({row[j], int32_t(row[k + j])});
    if (log_sum) out.log_sums.push_back(row[2 * k]);
  }
  return out;
}

}  // namespace

TopK::Result top_k(const TopK& op, const Tensor& x) {
  return with_float(x.dtype(), "top_k", [&]<class T>() { return best<T>(op, x); });
}

}  // namespace alinea::cuda
