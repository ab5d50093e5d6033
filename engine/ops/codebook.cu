// The product quantizer: rows of logits and the choices from them. Products with the codebook are GEMM's.
#include "engine/core/cuda_reduce.cuh"
#include "engine/core/cuda_upload.cuh"
#include "engine/ops/cuda_losses.h"

namespace alinea::cuda {

namespace {

template <class T>
void softmax_rows(const Tensor& logits, const Tensor& noise, double temperature, int64_t groups, const Tensor& weights) {
  const T *x = logits.data<T>(), *extra = pointer<T>(noise), rate = T(1 / temperature);
  T* p = weights.data<T>();
  const int64_t V = logits.shape().last() / groups;
  each_row(logits.context(), logits.count() / V, V, "codebook", [=] __device__(int64_t r) {
    auto at = [=](int64_t i) { return extra ? x[r * V + i] + extra[r * V + i] : x[r * V + i]; };
    const T m = over_row<T>(V, Max{}, at);
    const T total = over_row<T>(V, Sum{}, [=](int64_t i) { return std::exp((at(i) - m) * rate); });
    for (int64_t i = threadIdx.x; i < V; i += blockDim.x) p[r * V + i] = std::exp((at(i) - m) * rate) / total;
  });
}

template <class T>
void softmax_gradient_rows(const Tensor& weights, double factor, int64_t groups, const Tensor& d) {
  const T *p = weights.data<T>(), rate = T(factor);
  T* g = d.data<T>();
  const int64_t V = weights.shape().last() / groups;
  each_row(d.context(), weights.count() / V, V, "codebook backward", [=] __device__(int64_t r) {
    const T mean = over_row<T>(V, Sum{}, [=](int64_t i) { return p[r * V + i] * g[r * V + i]; });
    for (int64_t i = threadIdx.x; i < V; i += blockDim.x) g[r * V + i] = p[r * V + i] * (g[r * V + i] - mean) * rate;
  });
}

// Of equal logits the first; a row that holds a NaN chooses the first of all.
template <class T>
void choose_rows(const Tensor& logits, const Tensor& noise, const Tensor& chosen) {
  const T *x = logits.data<T>(), *extra = pointer<T>(noise);
  int32_t* out = chosen.data<int32_t>();
  const int64_t rows = chosen.count(), V = rows == 0 ? 1 : logits.count() / rows;
  each_row(logits.context(), rows, V, "codebook", [=] __device__(int64_t r) {
    auto at = [=](int64_t i) { return extra ? x[r * V + i] + extra[r * V + i] : x[r * V + i]; };
    const T m = over_row<T>(V, Max{}, at);
    const double first = over_row<double>(V, Max{}, [=](int64_t i) { return at(i) == m ? -double(i) : -double(V); });
    if (threadIdx.x == 0) out[r] = first == -double(V) ? 0 : int32_t(-first);
  });
}

template <class T>
void take(const Tensor& codevectors, const Tensor& chosen, const Tensor& y) {
  const T* from = codevectors.data<T>();
  const int32_t* choice = chosen.data<int32_t>();
  T* to = y.data<T>();
  const int64_t E = codevectors.shape().last(), G = chosen.size(1), V = codevectors.size(1) / G;
  each(y.context(), y.count(), "codebook", [=] __device__(int64_t i) {
    const int64_t place = i / E;                            // row · G + group
    to[i] = from[(place % G * V + choice[place]) * E + i % E];
  });
}

// A thread owns a number of the codebook and walks through the rows: no two threads add to the same place.
template <class T>
void take_gradient(const Tensor& g, const Tensor& chosen, const Tensor& d) {
  const T* from = g.data<T>();
  const int32_t* choice = chosen.data<int32_t>();
  T* to = d.data<T>();
  const int64_t E = d.shape().last(), G = chosen.size(1), V = d.size(1) / G, rows = chosen.size(0);
  each(g.context(), d.count(), "codebook backward", [=] __device__(int64_t i) {
    const int64_t group = i / E / V, entry = i / E % V;
    T s = 0;
    for (int64_t r = 0; r < rows; ++r)
      if (choice[r * G + group] == entry) s += from[(r * G + group) * E + i % E];
    to[i] = s;
  });
}

template <class T>
struct Probability {
  const T* p;
  int64_t columns;
  __device__ double operator()(int64_t row, int64_t column) const { return double(p[row * columns + column]); }
};
struct IsChosen {
  const int32_t* chosen;
  int64_t groups, entries;
  __device__ double operator()(int64_t row, int64_t column) const { return chosen[row * groups + column / entries] == column % entries ? 1.0 : 0.0; }
};
// What a row adds to the sum of a column.
template <class F>
struct OfNamed {
  const uint8_t* named;
  F at;
  __device__ void operator()(int64_t row, int64_t column, double* sum) const {
    if (named[row]) sum[0] += at(row, column);
  }
};

template <class F>
std::vector<double> sums_of_named(Context& context, int64_t columns, const std::vector<uint8_t>& named, F at) {
  const Tensor mask = upload(context, named), sums = context.empty({columns}, DType::f64);
  sum_columns<double, 1>(context, int64_t(named.size()), columns, "code_perplexity", {{sums.data<double>()}, {0}}, OfNamed<F>{pointer<uint8_t>(mask), at});
  return sums.values<double>();
}

template <class T>
void slopes(const std::vector<double>& slope, const std::vector<uint8_t>& named, const Tensor& g, const Tensor& d) {
  Context& context = d.context();
  const Tensor columns = upload(context, slope), mask = upload(context, named);
  const double* rate = pointer<double>(columns);
  const uint8_t* is_named = pointer<uint8_t>(mask);
  const T* upstream = g.data<T>();
  T* out = d.data<T>();
  const auto width = int64_t(slope.size());
  each(context, d.count(), "code_perplexity backward", [=] __device__(int64_t i) { out[i] = is_named[i / width] ? T(double(*upstream) * rate[i % width]) : T(0); });
}

}  // namespace

void code_softmax(const Tensor& logits, const Tensor& noise, double temperature, int64_t groups, const Tensor& weights) {
  with_float(logits.dtype(), "codebook", [&]<class T>() { softmax_rows<T>(logits, noise, temperature, groups, weights); });
}

void code_softmax_gradient(const Tensor& weights, double factor, int64_t groups, const Tensor& d) {
  with_float(d.dtype(), "codebook", [&]<class T>() { softmax_gradient_rows<T>(weights, factor, groups, d); });
}

void code_choices(const Tensor& logits, const Tensor& noise, const Tensor& chosen) {
  with_float(logits.dtype(), "codebook", [&]<class T>() { choose_rows<T>(logits, noise, chosen); });
}

void take_codes(const Tensor& codevectors, const Tensor& chosen, const Tensor& y) {
  with_float(y.dtype(), "codebook", [&]<class T>() { take<T>(codevectors, chosen, y); });
}

void take_codes_gradient(const Tensor& g, const Tensor& chosen, const Tensor& d) {
  with_float(g.dtype(), "codebook", [&]<class T>() { take_gradient<T>(g, chosen, d); });
}

std::vector<double> code_sums(const Tensor& weights, const std::vector<uint8_t>& named) {
  const int64_t W = weights.size(1);
  return with_float(weights.dtype(), "code_perplexity", [&]<class T>() { return sums_of_named(weights.context(), W, named, Probability<T>{weights.data<T>(), W}); });
}

std::vector<double> code_counts(const Tensor& chosen, int64_t entries, const std::vector<uint8_t>& named) {
  const int64_t G = chosen.size(1);
  return sums_of_named(chosen.context(), G * entries, named, IsChosen{chosen.data<int32_t>(), G, entries});
}

void code_slopes(const std::vector<double>& slope, const std::vector<uint8_t>& named, const Tensor& g, const Tensor& d) {
  with_float(d.dtype(), "code_perplexity", [&]<class T>() { slopes<T>(slope, named, g, d); });
}

}  // namespace alinea::cuda
