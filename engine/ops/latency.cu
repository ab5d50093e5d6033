// Latency of alignments. Rows of an alignment belong to a warp or a block; what runs along the few rows of a head is one thread's.
#include "engine/core/cuda_reduce.cuh"
#include "engine/core/cuda_upload.cuh"
#include "engine/ops/cuda_losses.h"

namespace alinea::cuda {

namespace {

// |X| and |Y| per item on the GPU; without a list all columns and rows count.
struct Lengths {
  Tensor source, target;
  Lengths(Context& context, const std::vector<int32_t>& x, const std::vector<int32_t>& y) : source(upload(context, x)), target(upload(context, y)) {}
};

__device__ int64_t length_or(const int32_t* lengths, int64_t item, int64_t all) { return lengths ? lengths[item] : all; }

template <class T>
void delays(const Tensor& alpha, const Tensor& source, const Tensor& delay) {
  const int64_t S = alpha.size(3), rows_of_item = alpha.size(1) * alpha.size(2);
  const T* a = alpha.data<T>();
  const int32_t* X = pointer<int32_t>(source);
  T* out = delay.data<T>();
  each_row(alpha.context(), delay.count(), S, "expected_delay", [=] __device__(int64_t r) {
    const T d = over_row<T>(length_or(X, r / rows_of_item, S), Sum{}, [=](int64_t j) { return T(j + 1) * a[r * S + j]; });
    if (threadIdx.x == 0) out[r] = d;
  });
}

template <class T>
void delays_backward(const Tensor& g, const Tensor& source, const Tensor& d) {
  const int64_t S = d.size(3), rows_of_item = d.size(1) * d.size(2);
  const T* pg = g.data<T>();
  const int32_t* X = pointer<int32_t>(source);
  T* out = d.data<T>();
  each(d.context(), d.count(), "expected_delay backward", [=] __device__(int64_t i) {
    const int64_t r = i / S, j = i % S;
    out[i] = j < length_or(X, r / rows_of_item, S) ? T(j + 1) * pg[r] : T(0);
  });
}

// Rows up to and including the first whose delay reaches |X|.
template <class T>
__device__ int64_t rows_until_end(const T* d, int32_t X, int64_t Y) {
  for (int64_t i = 0; i < Y; ++i)
    if (d[i] >= T(X)) return i + 1;
  return Y;
}

template <class T>
void lagging(const Lengths& l, bool average, const Tensor& delay, const Tensor& loss) {
  const int64_t H = delay.size(1), rows = delay.size(2);
  const T* d = delay.data<T>();
  const int32_t *source = l.source.data<int32_t>(), *target = pointer<int32_t>(l.target);
  T* out = loss.data<T>();
  each(delay.context(), loss.count(), "average_lagging", [=] __device__(int64_t h) {
    const int32_t X = source[h / H];
    const int64_t Y = length_or(target, h / H, rows), n = rows_until_end(d + h * rows, X, Y);
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += double(d[h * rows + i]) - double(i) * double(X) / double(Y);
    out[h] = T(average ? sum / double(n) : sum);
  });
}

template <class T>
void lagging_backward(const Lengths& l, bool average, const Tensor& delay, const Tensor& g, const Tensor& to) {
  const int64_t H = delay.size(1), rows = delay.size(2);
  const T *d = delay.data<T>(), *pg = g.data<T>();
  const int32_t *source = l.source.data<int32_t>(), *target = pointer<int32_t>(l.target);
  T* out = to.data<T>();
  each(delay.context(), delay.size(0) * H, "average_lagging backward", [=] __device__(int64_t h) {
    const int64_t n = rows_until_end(d + h * rows, source[h / H], length_or(target, h / H, rows));
    for (int64_t i = 0; i < rows; ++i) out[h * rows + i] = i < n ? pg[h] / (average ? T(n) : T(1)) : T(0);
  });
}

template <class T>
void steady_lagging(const Lengths& l, const Tensor& delay, const Tensor& loss) {
  const int64_t H = delay.size(1), rows = delay.size(2);
  const T* all = delay.data<T>();
  const int32_t *source = l.source.data<int32_t>(), *target = pointer<int32_t>(l.target);
  T* out = loss.data<T>();
  each(delay.context(), loss.count(), "differentiable_average_lagging", [=] __device__(int64_t h) {
    const T* d = all + h * rows;
    const int64_t Y = length_or(target, h / H, rows);
    const double step = double(source[h / H]) / double(Y);
    double delayed = d[0], sum = 0;
    for (int64_t i = 0; i < Y; ++i) {
      if (i > 0) delayed = double(d[i]) > delayed + step ? double(d[i]) : delayed + step;
      sum += delayed - double(i) * step;
    }
    out[h] = T(sum / double(Y));
  });
}

template <class T>
void steady_lagging_backward(const Lengths& l, const Tensor& delay, const Tensor& g, const Tensor& to) {
  const int64_t H = delay.size(1), rows = delay.size(2);
  const T *all = delay.data<T>(), *pg = g.data<T>();
  const int32_t *source = l.source.data<int32_t>(), *target = pointer<int32_t>(l.target);
  T* out = to.data<T>();
  each(delay.context(), delay.size(0) * H, "differentiable_average_lagging backward", [=] __device__(int64_t h) {
    const T* d = all + h * rows;
    T* row = out + h * rows;
    const int64_t Y = length_or(target, h / H, rows);
    const double step = double(source[h / H]) / double(Y);
    for (int64_t i = 0; i < rows; ++i) row[i] = 0;
    double delayed = d[0];
    int64_t winner = 0;                                      // the row whose own delay d'_i comes from
    for (int64_t i = 0; i < Y; ++i) {
      if (i > 0 && double(d[i]) >= delayed + step) winner = i, delayed = d[i];
      else if (i > 0) delayed += step;
      row[winner] += pg[h] / T(Y);
    }
  });
}

template <class T>
void variances(const Lengths& l, const Tensor& alpha, const Tensor& variance) {
  const int64_t H = alpha.size(1), rows = alpha.size(2), S = alpha.size(3);
  const Tensor by_row = alpha.context().empty({variance.count(), rows}, alpha.dtype());
  const T* all = alpha.data<T>();
  const int32_t *source = pointer<int32_t>(l.source), *target = pointer<int32_t>(l.target);
  T *v = by_row.data<T>(), *out = variance.data<T>();
  each_row(alpha.context(), by_row.count(), S, "alignment_variance", [=] __device__(int64_t r) {
    const T* a = all + r * S;
    const int64_t n = length_or(source, r / rows / H, S);
    const T mean = over_row<T>(n, Sum{}, [=](int64_t j) { return T(j + 1) * a[j]; });
    const T spread = over_row<T>(n, Sum{}, [=](int64_t j) { return (T(j + 1) - mean) * (T(j + 1) - mean) * a[j]; });
    if (threadIdx.x == 0) v[r] = spread;
  });
  each_row(alpha.context(), variance.count(), rows, "alignment_variance", [=] __device__(int64_t h) {
    const int64_t Y = length_or(target, h / H, rows);
    const T total = over_row<T>(Y, Sum{}, [=](int64_t i) { return v[h * rows + i]; });
    if (threadIdx.x == 0) out[h] = total / T(Y);
  });
}

template <class T>
void variances_backward(const Lengths& l, const Tensor& alpha, const Tensor& g, const Tensor& d) {
  const int64_t H = alpha.size(1), rows = alpha.size(2), S = alpha.size(3);
  const T *all = alpha.data<T>(), *pg = g.data<T>();
  const int32_t *source = pointer<int32_t>(l.source), *target = pointer<int32_t>(l.target);
  T* out = d.data<T>();
  each_row(alpha.context(), alpha.shape().rows(), S, "alignment_variance backward", [=] __device__(int64_t r) {
    const T* a = all + r * S;
    const int64_t h = r / rows, Y = length_or(target, h / H, rows), n = r % rows < Y ? length_or(source, h / H, S) : 0;
    const T mass = over_row<T>(n, Sum{}, [=](int64_t j) { return a[j]; });
    const T mean = over_row<T>(n, Sum{}, [=](int64_t j) { return T(j + 1) * a[j]; });
    const T slope = T(2) * mean * (T(1) - mass), upstream = pg[h] / T(Y);
    for (int64_t j = threadIdx.x; j < S; j += blockDim.x)
      out[r * S + j] = j < n ? ((T(j + 1) - mean) * (T(j + 1) - mean) - T(j + 1) * slope) * upstream : T(0);
  });
}

// Index of the largest of N values.
template <class T>
__device__ int64_t largest(const T* v, int64_t N) {
  int64_t best = 0;
  for (int64_t h = 1; h < N; ++h)
    if (v[h] > v[best]) best = h;
  return best;
}

// softmax(v)_h = e^{v_h − top} / total, and Σ_h softmax(v)_h v_h.
template <class T>
struct Softmax {
  T top, total = 0, pooled = 0;
  __device__ Softmax(const T* v, int64_t N) : top(v[largest(v, N)]) {
    for (int64_t h = 0; h < N; ++h) total += std::exp(v[h] - top);
    for (int64_t h = 0; h < N; ++h) pooled += weight(v[h]) * v[h];
  }
  __device__ T weight(T v) const { return std::exp(v - top) / total; }
};

template <class T>
void pool(HeadPooling method, const Tensor& values, const Tensor& pooled) {
  const int64_t N = values.size(1);
  const T* all = values.data<T>();
  T* out = pooled.data<T>();
  each(values.context(), pooled.count(), "head_pool", [=] __device__(int64_t b) {
    const T* v = all + b * N;
    if (method == HeadPooling::mean) {
      T sum = 0;
      for (int64_t h = 0; h < N; ++h) sum += v[h] / T(N);
      out[b] = sum;
    } else {
      out[b] = method == HeadPooling::max ? v[largest(v, N)] : Softmax<T>(v, N).pooled;
    }
  });
}

template <class T>
void pool_backward(HeadPooling method, const Tensor& values, const Tensor& g, const Tensor& d) {
  const int64_t N = d.size(1);
  const T *all = pointer<T>(values), *pg = g.data<T>();
  T* out = d.data<T>();
  each(d.context(), d.size(0), "head_pool backward", [=] __device__(int64_t b) {
    const T* v = all + b * N;
    T* to = out + b * N;
    if (method == HeadPooling::mean) {
      for (int64_t h = 0; h < N; ++h) to[h] = pg[b] / T(N);
    } else if (method == HeadPooling::max) {
      for (int64_t h = 0; h < N; ++h) to[h] = 0;
      to[largest(v, N)] = pg[b];
    } else {
      const Softmax<T> w(v, N);
      for (int64_t h = 0; h < N; ++h) to[h] = pg[b] * w.weight(v[h]) * (method == HeadPooling::softmax ? T(1) + v[h] - w.pooled : T(1));
    }
  });
}

}  // namespace

void expected_delay(const Tensor& alpha, const std::vector<int32_t>& source, const Tensor& delay) {
  const Lengths l(alpha.context(), source, {});
  with_float(alpha.dtype(), "expected_delay", [&]<class T>() { delays<T>(alpha, l.source, delay); });
}

void expected_delay_backward(const Tensor& g, const std::vector<int32_t>& source, const Tensor& d) {
  const Lengths l(g.context(), source, {});
  with_float(g.dtype(), "expected_delay", [&]<class T>() { delays_backward<T>(g, l.source, d); });
}

void average_lagging(const AverageLagging& op, const Tensor& delay, const Tensor& loss) {
  const Lengths l(delay.context(), op.source_lengths, op.target_lengths);
  with_float(delay.dtype(), "average_lagging", [&]<class T>() { lagging<T>(l, op.average, delay, loss); });
}

void average_lagging_backward(const AverageLagging& op, const Tensor& delay, const Tensor& g, const Tensor& d) {
  const Lengths l(delay.context(), op.source_lengths, op.target_lengths);
  with_float(delay.dtype(), "average_lagging", [&]<class T>() { lagging_backward<T>(l, op.average, delay, g, d); });
}

void differentiable_average_lagging(const DifferentiableAverageLagging& op, const Tensor& delay, const Tensor& loss) {
  const Lengths l(delay.context(), op.source_lengths, op.target_lengths);
  with_float(delay.dtype(), "differentiable_average_lagging", [&]<class T>() { steady_lagging<T>(l, delay, loss); });
}

void differentiable_average_lagging_backward(const DifferentiableAverageLagging& op, const Tensor& delay, const Tensor& g, const Tensor& d) {
  const Lengths l(delay.context(), op.source_lengths, op.target_lengths);
  with_float(delay.dtype(), "differentiable_average_lagging", [&]<class T>() { steady_lagging_backward<T>(l, delay, g, d); });
}

void alignment_variance(const AlignmentVariance& op, const Tensor& alpha, const Tensor& variance) {
  const Lengths l(alpha.context(), op.source_lengths, op.target_lengths);
  with_float(alpha.dtype(), "alignment_variance", [&]<class T>() { variances<T>(l, alpha, variance); });
}

void alignment_variance_backward(const AlignmentVariance& op, const Tensor& alpha, const Tensor& g, const Tensor& d) {
  const Lengths l(alpha.context(), op.source_lengths, op.target_lengths);
  with_float(alpha.dtype(), "alignment_variance", [&]<class T>() { variances_backward<T>(l, alpha, g, d); });
}

void head_pool(HeadPooling method, const Tensor& values, const Tensor& pooled) {
  with_float(values.dtype(), "head_pool", [&]<class T>() { pool<T>(method, values, pooled); });
}

void head_pool_backward(HeadPooling method, const Tensor& values, const Tensor& g, const Tensor& d) {
  with_float(g.dtype(), "head_pool", [&]<class T>() { pool_backward<T>(method, values, g, d); });
}

}  // namespace alinea::cuda
