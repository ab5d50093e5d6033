// Sums over axes and their counterpart, repeating. Sums of many elements run in double.
#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/cuda_kernels.h"

namespace alinea::cuda {

namespace {

// AxisWalk as a kernel argument.
struct Walk {
  int rank;
  int64_t size[Shape::max_rank], stride[Shape::max_rank];
  explicit Walk(const AxisWalk& w) : rank(w.sizes.rank) {
    for (int a = 0; a < rank; ++a) size[a] = w.sizes.dim[size_t(a)], stride[a] = w.strides.dim[size_t(a)];
  }
  __device__ int64_t offset(int64_t i) const {
    int64_t at = 0;
    for (int a = rank; a-- > 0;) at += i % size[a] * stride[a], i /= size[a];
    return at;
  }
};

// Everything into one number.
template <class T>
void sum_all(const Tensor& x, double factor, const Tensor& y) {
  const T* in = x.data<T>();
  const Tensor parts = total_parts<double>(x.context(), x.count(), "sum", [=] __device__(int64_t i) { return double(in[i]); });
  const double* part = parts.data<double>();
  const int64_t n = parts.count();
  T* out = y.data<T>();
  each_row(x.context(), 1, n, "sum", [=] __device__(int64_t) {
    const double total = over_row<double>(n, Sum{}, [=](int64_t i) { return part[i]; });
    if (threadIdx.x == 0) *out = T(factor * total);
  });
}

// Outputs that each sum runs of neighbouring elements.
template <class T>
void sum_runs(const Tensor& x, const BroadcastAxes& axes, double factor, const Tensor& y) {
  const Walk own(axes.own), repeated(axes.repeated);
  const int64_t inner = axes.inner, n = inner * axes.repeated.count();
  const T* in = x.data<T>();
  T* out = y.data<T>();
  each_row(x.context(), y.count(), n, "sum", [=] __device__(int64_t o) {
    const T* from = in + own.offset(o);
    const double total = over_row<double>(n, Sum{}, [=](int64_t i) { return double(from[repeated.offset(i / inner) + i % inner]); });
    if (threadIdx.x == 0) out[o] = T(factor * total);
  });
}

// Rows of outputs whose neighbours are neighbours in x too.
template <class T>
void add_runs(const Tensor& x, const BroadcastAxes& axes, double factor, const Tensor& y) {
  const Walk own(axes.own), repeated(axes.repeated);
  const int64_t inner = axes.inner, runs = axes.repeated.count();
  const T* in = x.data<T>();
  T* out = y.data<T>();
  if (axes.own.count() == 1)
    return sum_columns<T, 1>(x.context(), runs, inner, "sum", {{out}, {T(0)}}, [=] __device__(int64_t r, int64_t c, T* s) { *s += T(factor) * in[repeated.offset(r) + c]; });
  each(x.context(), y.count(), "sum", [=] __device__(int64_t i) {
    const T* from = in + own.offset(i / inner) + i % inner;
    double total = 0;
    for (int64_t r = 0; r < runs; ++r) total += double(from[repeated.offset(r)]);
    out[i] = T(factor * total);
  });
}

// Element i of y is read where the axes that x has lead to.
template <class T>
void repeat(const Tensor& x, double factor, const Tensor& y) {
  AxisWalk walk;
  int64_t stride = 1;
  for (int a = y.rank(), k = x.rank(); a-- > 0;) {
    const bool has = k-- > 0 && x.size(k) == y.size(a);
    walk.add_front(y.size(a), has ? stride : 0);
    if (k >= 0) stride *= x.size(k);
  }
  const Walk from(walk);
  const T *in = x.data<T>(), scale = T(factor);
  T* out = y.data<T>();
  each(y.context(), y.count(), "expand", [=] __device__(int64_t i) { out[i] = in[from.offset(i)] * scale; });
}

}  // namespace

void sum_over(const Tensor& x, const BroadcastAxes& axes, double factor, const Tensor& y) {
  with_float(x.dtype(), "sum", [&]<class T>() {
    if (y.count() == 1) sum_all<T>(x, factor, y);
    else if (axes.inner_repeated) sum_runs<T>(x, axes, factor, y);
    else add_runs<T>(x, axes, factor, y);
  });
}

void expand(const Tensor& x, double factor, const Tensor& y) {
  with_float(x.dtype(), "expand", [&]<class T>() { repeat<T>(x, factor, y); });
}

}  // namespace alinea::cuda
