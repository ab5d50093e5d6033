// One kernel shape for every function of elementwise_math.h. Outputs may be the inputs they are computed from, element by element.
#include "engine/core/cuda.cuh"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/elementwise_math.h"

namespace alinea::cuda {

namespace {

template <class T, class F>
void values(F f, const Tensor& x, const Tensor& y) {
  const T* in = x.data<T>();
  T* out = y.data<T>();
  each(y.context(), y.count(), "elementwise", [=] __device__(int64_t i) { out[i] = f.value(in[i]); });
}

template <class T, class F>
void slopes(F f, const Tensor& read_by_slope, const Tensor& g, const Tensor& d) {
  const T *v = pointer<T>(read_by_slope), *in = g.data<T>();
  T* out = d.data<T>();
  each(d.context(), d.count(), "elementwise backward", [=] __device__(int64_t i) { out[i] = in[i] * f.slope(v ? v[i] : T(0)); });
}

template <class T, class F>
void values2(F f, const Tensor& a, const Tensor& b, const Tensor& y) {
  const T *pa = a.data<T>(), *pb = b.data<T>();
  T* out = y.data<T>();
  each(y.context(), y.count(), "elementwise", [=] __device__(int64_t i) { out[i] = f.value(pa[i], pb[i]); });
}

template <class T, class F>
void slopes2(F f, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& da, const Tensor& db) {
  const T *pg = g.data<T>(), *pa = pointer<T>(a), *pb = pointer<T>(b);
  T *to_a = pointer<T>(da), *to_b = pointer<T>(db);
  each(g.context(), g.count(), "elementwise backward", [=] __device__(int64_t i) {
    const T vg = pg[i], va = pa ? pa[i] : T(0), vb = pb ? pb[i] : T(0);
    if (to_b) to_b[i] = f.db(vg, va, vb);
    if (to_a) to_a[i] = f.da(vg, vb);
  });
}

template <class T>
void add_to(const Tensor& sum, const Tensor& x) {
  T* to = sum.data<T>();
  const T* from = x.data<T>();
  each(sum.context(), sum.count(), "add_into", [=] __device__(int64_t i) { to[i] += from[i]; });
}

}  // namespace

template <class F>
void apply(F f, const Tensor& x, const Tensor& y) {
  with_float(x.dtype(), "elementwise", [&]<class T>() { values<T>(f, x, y); });
}

template <class F>
void apply_slope(F f, const Tensor& read_by_slope, const Tensor& g, const Tensor& d) {
  with_float(g.dtype(), "elementwise", [&]<class T>() { slopes<T>(f, read_by_slope, g, d); });
}

template <class F>
void apply2(F f, const Tensor& a, const Tensor& b, const Tensor& y) {
  with_float(a.dtype(), "elementwise", [&]<class T>() { values2<T>(f, a, b, y); });
}

template <class F>
void apply2_slopes(F f, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& da, const Tensor& db) {
  with_float(g.dtype(), "elementwise", [&]<class T>() { slopes2<T>(f, g, a, b, da, db); });
}

void add_into(const Tensor& sum, const Tensor& x) {
  with_float(sum.dtype(), "add_into", [&]<class T>() { add_to<T>(sum, x); });
}

// Add and Sub have no slope kernel: their gradients are g and -g.
template void apply(math::Relu, const Tensor&, const Tensor&);
template void apply(math::Gelu, const Tensor&, const Tensor&);
template void apply(math::Silu, const Tensor&, const Tensor&);
template void apply(math::Sigmoid, const Tensor&, const Tensor&);
template void apply(math::Tanh, const Tensor&, const Tensor&);
template void apply(math::Exp, const Tensor&, const Tensor&);
template void apply(math::Log, const Tensor&, const Tensor&);
template void apply(math::Scale, const Tensor&, const Tensor&);
template void apply(math::AddScalar, const Tensor&, const Tensor&);
template void apply_slope(math::Relu, const Tensor&, const Tensor&, const Tensor&);
template void apply_slope(math::Gelu, const Tensor&, const Tensor&, const Tensor&);
template void apply_slope(math::Silu, const Tensor&, const Tensor&, const Tensor&);
template void apply_slope(math::Sigmoid, const Tensor&, const Tensor&, const Tensor&);
template void apply_slope(math::Tanh, const Tensor&, const Tensor&, const Tensor&);
template void apply_slope(math::Exp, const Tensor&, const Tensor&, const Tensor&);
template void apply_slope(math::Log, const Tensor&, const Tensor&, const Tensor&);
template void apply_slope(math::Scale, const Tensor&, const Tensor&, const Tensor&);
template void apply_slope(math::AddScalar, const Tensor&, const Tensor&, const Tensor&);
template void apply2(math::Add, const Tensor&, const Tensor&, const Tensor&);
template void apply2(math::Sub, const Tensor&, const Tensor&, const Tensor&);
template void apply2(math::Mul, const Tensor&, const Tensor&, const Tensor&);
template void apply2(math::Div, const Tensor&, const Tensor&, const Tensor&);
template void apply2_slopes(math::Mul, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&);
template void apply2_slopes(math::Div, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&);

}  // namespace alinea::cuda
