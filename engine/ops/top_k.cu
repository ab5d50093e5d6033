// The best of rows. Each of the k is a maximum over what comes after the one before: a row read from the cache k times, without a sort.
#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/cuda_losses.h"

namespace alinea::cuda {

namespace {

template <class T>
TopK::Result best(const TopK& op, const Tensor& x) {
  const int64_t rows = x.size(0), n = x.size(1), k = op.k;
  Context& context = x.context();
  const Tensor values = context.empty({rows, k}, DType::f64), columns = context.empty({rows, k}, DType::i32);
  const Tensor log_sums = op.log_sum ? context.empty({rows}, DType::f64) : Tensor();
  const T* in = x.data<T>();
  double *value = values.data<double>(), *log_sum = pointer<double>(log_sums);
  int32_t* column = columns.data<int32_t>();
  each_row(context, rows, n, "top_k", [=] __device__(int64_t r) {
    const T lowest = T(-CUDART_INF), *row = in + r * n;
    T last = T(CUDART_INF), most = lowest;
    int64_t at = -1;
    for (int64_t j = 0; j < k; ++j) {
      // An element comes after the last one found when it is smaller, or equal and further right; NaN never does.
      auto after = [=](int64_t i) { return row[i] < last || (row[i] == last && i > at); };
      const T high = over_row<T>(n, Max{}, [=](int64_t i) { return after(i) ? row[i] : lowest; });
      const double first = high == lowest ? 1.0 : over_row<double>(n, Max{}, [=](int64_t i) { return after(i) && row[i] == high ? -double(i) : -CUDART_INF; });
      if (j == 0) most = high;
      last = high, at = -int64_t(first);
      if (threadIdx.x == 0) value[r * k + j] = double(high), column[r * k + j] = int32_t(at);
    }
    if (!log_sum) return;
    const T base = most == lowest ? T(0) : most;
    const double total = over_row<double>(n, Sum{}, [=](int64_t i) { return double(std::exp(row[i] - base)); });
    if (threadIdx.x == 0) log_sum[r] = double(base) + std::log(total);
  });
  TopK::Result out;
  const auto found = values.values<double>();
  const auto where = columns.values<int32_t>();
  for (size_t i = 0; i < found.size(); ++i) out.entries.push_back({found[i], where[i]});
  if (op.log_sum) out.log_sums = log_sums.values<double>();
  return out;
}

}  // namespace

TopK::Result top_k(const TopK& op, const Tensor& x) {
  return with_float(x.dtype(), "top_k", [&]<class T>() { return best<T>(op, x); });
}

}  // namespace alinea::cuda
