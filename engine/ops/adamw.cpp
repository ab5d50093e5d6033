#include "engine/ops/adamw.h"

#include <numeric>
#include <vector>

#include "engine/core/device.h"
#include "engine/ops/cuda_adamw.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

// The loop is one vector instruction: the library is built without errno for mathematical functions.
template <Vector V>
ALINEA_INLINE V root(V x) {
  Lane<V> s[lanes<Lane<V>>];
  std::memcpy(s, &x, sizeof s);
  for (Lane<V>& y : s) y = std::sqrt(y);
  std::memcpy(&x, s, sizeof s);
  return x;
}

template <class T>
ALINEA_KERNEL void step_range(const AdamWBuffers<T> a, const AdamWStep<T> s, int64_t begin, int64_t end) {
  const T scale = a.grad_scale ? *a.grad_scale : T(1);
  if (scale != scale) return;
  for (int64_t i = begin; i < end; i += lanes<T>) {
    const int64_t rest = end - i;
    Vec<T> p = load_up_to(a.p + i, rest), g = load_up_to(a.g + i, rest) * scale + p * s.penalty;
    Vec<T> m = load_up_to(a.m + i, rest), v = load_up_to(a.v + i, rest);
    m += (g - m) * s.rest1;
    v = v * s.beta2 + g * g * s.rest2;
    p = p * s.keep - m * s.rate / (root(v) * s.inverse_root2 + s.eps);
    store_up_to(a.new_p + i, p, rest);
    store_up_to(a.new_m + i, m, rest);
    store_up_to(a.new_v + i, v, rest);
  }
}

void check(const Tensor& parameter, const Tensor& gradient, const Tensor& moment1, const Tensor& moment2) {
  same_device("adamw", parameter, gradient, moment1, moment2);
  for (const Tensor* t : {&gradient, &moment1, &moment2})
    require(*t && t->count() == parameter.count() && t->dtype() == parameter.dtype(),
            "adamw: the parameter is {} {}; gradient and moments must have the same count and dtype, one is {}", parameter.dtype(), parameter.shape(),
            *t ? fmt::format("{} {}", t->dtype(), t->shape()) : "missing");
}

// 8 elements as doubles.
template <class T>
ALINEA_INLINE Vec<double> load_double(const T* p) {
  if constexpr (std::is_same_v<T, double>) {
    return load(p);
  } else {
    typedef float Half __attribute__((vector_size(32)));
    Half h;
    std::memcpy(&h, p, sizeof h);
    return __builtin_convertvector(h, Vec<double>);
  }
}

template <class T>
ALINEA_KERNEL void square_blocks(const T* x, int64_t count, int64_t block, double* sums, int64_t first, int64_t last) {
  for (int64_t b = first; b < last; ++b) {
    const int64_t end = std::min(count, (b + 1) * block);
    Vec<double> s[4] = {};
    int64_t i = b * block;
    for (; i + 32 <= end; i += 32)
      for (int64_t k = 0; k < 4; ++k) {
        const Vec<double> v = load_double(x + i + 8 * k);
        s[k] += v * v;
      }
    double rest = 0;
    for (; i < end; ++i) rest += double(x[i]) * double(x[i]);
    sums[b] = sum((s[0] + s[1]) + (s[2] + s[3])) + rest;
  }
}

}  // namespace

std::array<Tensor, 3> AdamW::forward(const Tensor& parameter, const Tensor& gradient, const Tensor& moment1, const Tensor& moment2, void*) const {
  check(parameter, gradient, moment1, moment2);
  std::array<Tensor, 3> y;
  for (Tensor& t : y) t = parameter.context().empty(parameter.shape(), parameter.dtype());
  with_float(parameter.dtype(), "adamw", [&]<class T>() {
    const AdamWBuffers<T> b{parameter.data<T>(), gradient.data<T>(), moment1.data<T>(), moment2.data<T>(), y[0].data<T>(), y[1].data<T>(), y[2].data<T>()};
    const AdamWStep<T> s = step_of<T>(*this);
    on_device(
        parameter, [&] { parallel_for(parameter.count(), 32768, [&](int64_t first, int64_t last) { step_range(b, s, first, last); }); },
        [&] { cuda::adamw(parameter.context(), s, b, parameter.count()); });
  });
  return y;
}

void adamw_step(const AdamW& options, const Tensor& parameter, const Tensor& gradient, const Tensor& moment1, const Tensor& moment2, const Tensor& grad_scale,
                int64_t begin, int64_t end) {
  check(parameter, gradient, moment1, moment2);
  same_device("adamw", parameter, grad_scale);
  require(!grad_scale || grad_scale.count() == 1, "adamw: the scale of the gradient is {}; it must be one number", grad_scale.shape());
  require(begin >= 0 && begin <= end && end <= parameter.count(), "adamw: the range {} ... {} does not lie in {} elements", begin, end, parameter.count());
  with_float(parameter.dtype(), "adamw", [&]<class T>() {
    T *p = parameter.data<T>() + begin, *m = moment1.data<T>() + begin, *v = moment2.data<T>() + begin;
    const AdamWBuffers<T> b{p, gradient.data<T>() + begin, m, v, p, m, v, grad_scale ? grad_scale.data<T>() : nullptr};
    const AdamWStep<T> s = step_of<T>(options);
    on_device(
        parameter, [&] { parallel_for(end - begin, 32768, [&](int64_t first, int64_t last) { step_range(b, s, first, last); }); },
        [&] { cuda::adamw(parameter.context(), s, b, end - begin); });
  });
}

Tensor l2_norm(const Tensor& x) {
  const Tensor norm = x.context().empty({}, DType::f64);
  auto on_cpu = [&] {
    constexpr int64_t block = 16384;
    const int64_t blocks = (x.count() + block - 1) / block;
    std::vector<double> sums(size_t(blocks), 0.0);
    with_float(x.dtype(), "l2_norm", [&]<class T>() {
      const T* p = x.data<T>();
      parallel_for(blocks, 2, [&](int64_t first, int64_t last) { square_blocks(p, x.count(), block, sums.data(), first, last); });
    });
    *norm.data<double>() = std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
  };
  on_device(x, on_cpu, [&] { cuda::l2_norm(x, norm); });
  return norm;
}

Tensor clip_scale(const Tensor& norm, double max_norm, DType dtype) {
  const Tensor scale = norm.context().empty({}, dtype);
  with_float(dtype, "clip_scale", [&]<class T>() {
    const double* from = norm.data<double>();
    T* to = scale.data<T>();
    on_device(norm, [&] { *to = T(clip_scale(*from, max_norm)); }, [&] { cuda::clip_scale(norm.context(), from, max_norm, to); });
  });
  return scale;
}

}  // namespace alinea
