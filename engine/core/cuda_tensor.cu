#include "engine/core/cuda_tensor.h"

#include "engine/core/cuda.cuh"

namespace alinea::cuda {

namespace {

template <class B, class A>
__device__ B converted(A x) {
  if constexpr (std::is_same_v<A, bf16>) return B(float(x));
  else if constexpr (std::is_same_v<B, bf16>) return bf16(float(x));
  else return B(x);
}

// Sizes of the axes and the strides of both sides, as a kernel argument. I: 32-bit where the count allows, since dividing 64-bit numbers
// costs several times more.
template <class I>
struct Layouts {
  int rank;
  I size[Shape::max_rank];
  int64_t from[Shape::max_rank], to[Shape::max_rank];
};

template <class I, class U>
void copy_elements(const Tensor& from, const Tensor& to, const U* in, U* out) {
  Layouts<I> l{from.rank(), {}, {}, {}};
  for (int a = 0; a < l.rank; ++a) l.size[a] = I(from.size(a)), l.from[a] = from.stride(a), l.to[a] = to.stride(a);
  each(to.context(), to.count(), "copy", [=] __device__(int64_t i) {
    I rest = I(i);
    int64_t at_in = 0, at_out = 0;
    for (int a = l.rank; a-- > 0;) {
      const I index = rest % l.size[a];
      rest /= l.size[a];
      at_in += index * l.from[a], at_out += index * l.to[a];
    }
    out[at_out] = in[at_in];
  });
}

template <class T>
void fill_with(const Tensor& x, T value) {
  T* out = x.data<T>();
  each(x.context(), x.count(), "full", [=] __device__(int64_t i) { out[i] = value; });
}

template <class A, class B>
void convert_to(const Tensor& from, const Tensor& to) {
  const A* in = from.data<A>();
  B* out = to.data<B>();
  each(to.context(), to.count(), "to(dtype)", [=] __device__(int64_t i) { out[i] = converted<B>(in[i]); });
}

}  // namespace

void fill(const Tensor& x, double value) {
  with_any(x.dtype(), [&]<class T>() {
    if constexpr (std::is_same_v<T, bf16>) fill_with(x, bf16(float(value)));
    else fill_with(x, T(value));
  });
}

void convert(const Tensor& from, const Tensor& to) {
  with_any(from.dtype(), [&]<class A>() { with_any(to.dtype(), [&]<class B>() { convert_to<A, B>(from, to); }); });
}

void copy_strided(const Tensor& from, const Tensor& to) {
  with_any(to.dtype(), [&]<class T>() {
    if (to.count() < int64_t(1) << 31) copy_elements<uint32_t>(from, to, from.strided<T>(), to.strided<T>());
    else copy_elements<int64_t>(from, to, from.strided<T>(), to.strided<T>());
  });
}

}  // namespace alinea::cuda
