#include "engine/ops/top_k.h"

#include <limits>

#include "engine/core/device.h"
#include "engine/ops/cuda_losses.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

template <class T>
constexpr T lowest = -std::numeric_limits<T>::infinity();

/// What a part of a row has shown so far: the k best columns, best first, and Σ exp(x − most).
template <class T>
struct Part {
  T* values;
  int32_t* columns;
  int64_t k;
  T most = lowest<T>;
  T total = 0;
};

template <class T>
ALINEA_INLINE void insert(const Part<T>& p, T value, int32_t column) {
  int64_t at = p.k - 1;
  for (; at > 0 && p.values[at - 1] < value; --at) p.values[at] = p.values[at - 1], p.columns[at] = p.columns[at - 1];
  p.values[at] = value, p.columns[at] = column;
}

// Columns begin … end-1. Most blocks hold nothing that is better than the worst kept: one comparison passes them over.
template <bool sums, class T>
ALINEA_KERNEL void scan(const T* x, int64_t begin, int64_t end, Part<T>& p) {
  constexpr int64_t block = 8 * lanes<T>;
  Vec<T> total{};
  for (int64_t i = begin; i < end; i += block) {
    const int64_t n = std::min(block, end - i);
    Vec<T> most = splat(lowest<T>);
    for (int64_t j = 0; j < n; j += lanes<T>) {
      const Vec<T> v = load_up_to(x + i + j, n - j, lowest<T>);
      most = v > most ? v : most;                           // a NaN loses
    }
    const T high = max_of(most);
    if (high > p.values[p.k - 1])
      for (int64_t j = i; j < i + n; ++j)
        if (x[j] > p.values[p.k - 1]) insert(p, x[j], int32_t(j));
    if (!sums) continue;
    if (high > p.most) {
      total *= exp_nonpositive(splat(p.most - high));
      p.most = high;
    }
    const T base = p.most == lowest<T> ? T(0) : p.most;
    for (int64_t j = 0; j < n; j += lanes<T>) total += exp_nonpositive(load_up_to(x + i + j, n - j, lowest<T>) - base);
  }
  if (sums) p.total = sum(total);
}

// The parts of one row, in order of their columns.
template <class T>
double merge(const Part<T>* parts, int64_t n, int64_t k, TopK::Entry* to) {
  std::vector<TopK::Entry> all;
  T most = lowest<T>;
  for (int64_t i = 0; i < n; ++i) {
    most = std::max(most, parts[i].most);
    for (int64_t j = 0; j < k; ++j) all.push_back({double(parts[i].values[j]), parts[i].columns[j]});
  }
  std::stable_sort(all.begin(), all.end(), [](const TopK::Entry& a, const TopK::Entry& b) { return a.value > b.value; });
  std::copy_n(all.begin(), k, to);
  double total = 0;
  for (int64_t i = 0; i < n; ++i)
    if (parts[i].total != 0) total += double(parts[i].total) * std::exp(parts[i].most == lowest<T> ? 0.0 : double(parts[i].most) - double(most));
  return (most == lowest<T> ? 0.0 : double(most)) + std::log(total);
}

TopK::Result top_k(const TopK& op, const Tensor& x) {
  const int64_t k = op.k;
  const bool log_sum = op.log_sum;
  const int64_t rows = x.size(0), width = x.size(1), parts = std::min<int64_t>(threads(), std::max<int64_t>(1, width / 4096));
  TopK::Result out;
  out.entries.resize(size_t(rows * k));
  out.log_sums.resize(log_sum ? size_t(rows) : 0);
  with_float(x.dtype(), "top_k", [&]<class T>() {
    const T* from = x.data<T>();
    std::vector<T> values(size_t(rows * parts * k), lowest<T>);
    std::vector<int32_t> columns(size_t(rows * parts * k), -1);
    std::vector<Part<T>> all;
    for (int64_t i = 0; i < rows * parts; ++i) all.push_back({values.data() + i * k, columns.data() + i * k, k});
    parallel_for(rows * parts, row_grain(width / parts), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t part = i % parts, first = width * part / parts, last = width * (part + 1) / parts;
        const T* row = from + i / parts * width;
        if (log_sum) scan<true>(row, first, last, all[size_t(i)]);
        else scan<false>(row, first, last, all[size_t(i)]);
      }
    });
    for (int64_t r = 0; r < rows; ++r) {
      const double total = merge(all.data() + r * parts, parts, k, out.entries.data() + r * k);
      if (log_sum) out.log_sums[size_t(r)] = total;
    }
  });
  return out;
}

}  // namespace

TopK::Result TopK::forward(const Tensor& x) const {
  require(x.rank() == 2 && k >= 1 && k <= x.size(1), "top_k: x is {} and k is {}; x must be [R, C] and k from 1 to C", x.shape(), k);
  auto on_cpu = [&] { return top_k(*this, x); };
  return on_device(x, on_cpu, [&] { return cuda::top_k(*this, x); });
}

}  // namespace alinea
