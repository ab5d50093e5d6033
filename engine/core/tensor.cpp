#include "engine/core/tensor.h"

#include <cstring>

#include "engine/core/cuda_tensor.h"
#include "engine/core/device.h"
#include "engine/core/parallel.h"

namespace alinea {

namespace {

Shape row_major(const Shape& shape) {
  Shape s = shape;
  int64_t step = 1;
  for (int i = shape.rank; i-- > 0;) s.dim[i] = step, step *= shape.dim[i];
  return s;
}

// Calls row(destination index, source offset) for every run along the last axis of a strided tensor.
template <class F>
void each_row(const Tensor& t, F&& row) {
  const int64_t rows = t.shape().rows();
  parallel_for(rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, t.shape().last())), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t rest = r, offset = 0;
      for (int a = t.rank() - 2; a >= 0; --a) offset += rest % t.size(a) * t.stride(a), rest /= t.size(a);
      row(r, offset);
    }
  });
}

template <class T>
void copy_strided(const Tensor& from, const Tensor& to) {
  const int64_t n = to.shape().last(), sf = from.rank() ? from.stride(-1) : 1, st = to.rank() ? to.stride(-1) : 1;
  const T* in = from.strided<T>();
  T* out = to.strided<T>();
  each_row(to, [&](int64_t r, int64_t at) {
    int64_t rest = r, offset = 0;
    for (int a = from.rank() - 2; a >= 0; --a) offset += rest % from.size(a) * from.stride(a), rest /= from.size(a);
    if (sf == 1 && st == 1) std::memcpy(out + at, in + offset, size_t(n) * sizeof(T));
    else for (int64_t i = 0; i < n; ++i) out[at + i * st] = in[offset + i * sf];
  });
}

template <class A, class B>
void convert(const Tensor& from, const Tensor& to) {
  const A* in = from.data<A>();
  B* out = to.data<B>();
  parallel_for(to.count(), 65536, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if constexpr (std::is_same_v<A, bf16>) out[i] = B(float(in[i]));
      else if constexpr (std::is_same_v<B, bf16>) out[i] = bf16(float(in[i]));
      else out[i] = B(in[i]);
    }
  });
}

}  // namespace

Tensor::Tensor(std::shared_ptr<Storage> storage, const Shape& shape, DType dtype)
    : storage_(std::move(storage)), shape_(shape), strides_(row_major(shape)), dtype_(dtype) {}

bool Tensor::contiguous() const {
  int64_t step = 1;
  for (int i = shape_.rank; i-- > 0;) {
    if (shape_.dim[i] != 1 && strides_.dim[i] != step) return count() == 0;
    step *= shape_.dim[i];
  }
  return true;
}

Tensor Tensor::reshape(Shape shape) const {
  int64_t known = 1;
  int open = -1;
  for (int i = 0; i < shape.rank; ++i) (shape.dim[i] == -1 ? void(open = i) : void(known *= shape.dim[i]));
  if (open >= 0 && known > 0) shape.dim[open] = count() / known;
  require(shape.count() == count(), "reshape: {} has {} elements, {} has {}", shape_, count(), shape, shape.count());
  require(contiguous(), "reshape: {} is not contiguous here; call compact() first", shape_);
  Tensor t = *this;
  t.shape_ = shape;
  t.strides_ = row_major(shape);
  return t;
}

Tensor Tensor::permute(std::span<const int> order) const {
  require(int(order.size()) == rank(), "permute: {} axes given for shape {}", order.size(), shape_);
  Tensor t = *this;
  unsigned seen = 0;
  for (int i = 0; i < rank(); ++i) {
    const int a = shape_.index(order[i]);
    seen |= 1u << a;
    t.shape_.dim[i] = shape_.dim[a];
    t.strides_.dim[i] = strides_.dim[a];
  }
  require(seen == (1u << rank()) - 1, "permute: every axis of {} must occur once in the order", shape_);
  return t;
}

Tensor Tensor::slice(int axis, int64_t begin, int64_t end) const {
  const int a = shape_.index(axis);
  require(0 <= begin && begin <= end && end <= shape_.dim[a], "slice: {} … {} does not fit axis {} of {}", begin, end, a, shape_);
  Tensor t = *this;
  t.shape_.dim[a] = end - begin;
  t.offset_ += begin * strides_.dim[a];
  return t;
}

Tensor Tensor::compact() const { return contiguous() ? *this : clone(); }

Tensor Tensor::clone() const {
  Tensor t = context().empty(shape_, dtype_);
  t.copy_from(*this);
  return t;
}

void Tensor::copy_from(const Tensor& source) const {
  require(source.shape_ == shape_ && source.dtype_ == dtype_, "copy: {} {} does not fit into {} {}", source.dtype_, source.shape_, dtype_, shape_);
  if (count() == 0) return;
  if (contiguous() && source.contiguous()) {
    auto* to = first();
    const auto* from = source.first();
    if (&context() == &source.context()) context().copy_within(to, from, bytes());
    else if (context().device() == Device::cpu) source.context().copy_to_host(to, from, bytes());
    else if (source.context().device() == Device::cpu) context().copy_from_host(to, from, bytes());
    else copy_from(source.to(Context::cpu()));
    return;
  }
  require(&context() == &source.context(), "copy: between devices both sides must be contiguous; call compact() first");
  on_device(
      *this, [&] { with_any(dtype_, [&]<class T>() { copy_strided<T>(source, *this); }); }, [&] { cuda::copy_strided(source, *this); });
}

void Tensor::zero() const {
  if (contiguous()) return context().zero(first(), bytes());
  copy_from(context().zeros(shape_, dtype_));
}

Tensor Tensor::to(Context& target) const {
  if (&target == &context()) return *this;
  Tensor t = target.empty(shape_, dtype_);
  t.copy_from(compact());
  return t;
}

Tensor Tensor::to(DType target) const {
  if (target == dtype_) return *this;
  const Tensor from = compact(), t = context().empty(shape_, target);
  on_device(
      *this, [&] { with_any(dtype_, [&]<class A>() { with_any(target, [&]<class B>() { convert<A, B>(from, t); }); }); }, [&] { cuda::convert(from, t); });
  return t;
}

template <class T>
std::vector<T> Tensor::values() const {
  const Tensor host = compact().to(Context::cpu()).to(dtype_of<T>);
  const T* p = host.data<T>();
  return std::vector<T>(p, p + host.count());
}
template std::vector<float> Tensor::values() const;
template std::vector<double> Tensor::values() const;
template std::vector<int32_t> Tensor::values() const;
template std::vector<int64_t> Tensor::values() const;
template std::vector<uint8_t> Tensor::values() const;

double Tensor::item() const {
  require(count() == 1, "item: the tensor {} does not hold exactly one element", shape_);
  return values<double>()[0];
}

}  // namespace alinea
