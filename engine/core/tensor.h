// Tensor: a value made of shape, strides, dtype and shared storage. Reading never copies; every copy has a name.
#pragma once
#include <initializer_list>
#include <memory>
#include <vector>

#include "engine/core/context.h"

namespace alinea {

struct Recipe;                                               // engine/ops/recipe.h

/// Memory of a context, or of something else that is kept alive (a mapped file) and that the context's counters do not charge.
struct Storage {
  Storage(Context& context, int64_t bytes) : context(context), bytes(bytes), data(context.allocate(bytes)) {}
  /// `owner` holds the memory; with data == nullptr a placeholder: a shape without elements yet.
  Storage(Context& context, int64_t bytes, void* data, std::shared_ptr<const void> owner) : context(context), bytes(bytes), data(data), owner(std::move(owner)), foreign(true) {}
  ~Storage() {
    if (!foreign) context.release(data, bytes);
  }
  Storage(const Storage&) = delete;
  Context& context;
  int64_t bytes;
  void* data;
  std::shared_ptr<const void> owner;
  std::shared_ptr<const Recipe> recipe;                     // how to make the elements again, if somebody told
  bool foreign = false;
};

class Tensor {
 public:
  Tensor() = default;                                       // "none": an optional input or gradient that is not there
  Tensor(std::shared_ptr<Storage> storage, const Shape& shape, DType dtype);
  explicit operator bool() const { return storage_ != nullptr; }

  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Context& context() const { return storage_->context; }
  int rank() const { return shape_.rank; }
  int64_t size(int axis) const { return shape_[axis]; }
  int64_t stride(int axis) const { return strides_.dim[shape_.index(axis)]; }   // in elements
  int64_t count() const { return shape_.count(); }
  int64_t bytes() const { return count() * bytes_of(dtype_); }
  bool contiguous() const;
  bool sole_owner() const { return storage_.use_count() == 1; }                 // backward may write into it
  bool placeholder() const { return storage_ && !storage_->data; }              // Context::placeholder: touching an element is an error
  /// How to make these elements again from others, as told by made_by(); none for a part of them.
  std::shared_ptr<const Recipe> recipe() const { return storage_ && contiguous() && bytes() == storage_->bytes ? storage_->recipe : nullptr; }
  void made_by(std::shared_ptr<const Recipe> recipe) const { storage_->recipe = std::move(recipe); }
  bool shares_storage(const Tensor& o) const { return storage_ && storage_ == o.storage_; }

  /// First element of a contiguous tensor; dtype and layout are checked.
  template <class T>
  T* data() const {
    require(contiguous(), "tensor {}: the elements are not contiguous here; call compact() first", shape_);
    return strided<T>();
  }
  /// First element, to be used with stride(); dtype is checked.
  template <class T>
  T* strided() const {
    require(storage_ != nullptr, "tensor: there is none here (an input or gradient is missing)");
    require(dtype_ == dtype_of<std::remove_const_t<T>>, "tensor {}: holds {}, was asked for {}", shape_, dtype_, dtype_of<std::remove_const_t<T>>);
    return static_cast<T*>(memory()) + offset_;
  }

  /// The same elements under another shape (contiguous tensors only; one size may be -1).
  Tensor reshape(Shape shape) const;
  /// Axis i of the result is axis order[i] of this one.
  Tensor permute(std::span<const int> order) const;
  Tensor permute(std::initializer_list<int> order) const { return permute(std::span<const int>(order.begin(), order.size())); }
  /// Elements begin … end-1 of an axis.
  Tensor slice(int axis, int64_t begin, int64_t end) const;

  // The only copies.
  Tensor compact() const;                                   // itself when already contiguous
  Tensor clone() const;                                     // always new storage, contiguous
  Tensor to(Context&) const;                                // itself when already there
  Tensor to(DType) const;                                   // itself when already so
  void copy_from(const Tensor& source) const;               // into this tensor's elements; same shape and dtype
  void zero() const;
  /// All elements in row-major order on the host, converted to T.
  template <class T>
  std::vector<T> values() const;
  /// The only element of a tensor with count() == 1.
  double item() const;

 private:
  void* memory() const {
    require(!placeholder(), "tensor {}: the weights are not loaded; load them into the model first", shape_);
    return storage_->data;
  }
  std::byte* first() const { return static_cast<std::byte*>(memory()) + offset_ * bytes_of(dtype_); }

  std::shared_ptr<Storage> storage_;
  Shape shape_, strides_;
  int64_t offset_ = 0;                                      // in elements
  DType dtype_ = DType::f32;
};

template <class T>
Tensor Context::from(const T* values, const Shape& shape) {
  Tensor t = empty(shape, dtype_of<T>);
  copy_from_host(t.template data<T>(), values, t.bytes());
  return t;
}

/// Refuses tensors that are not on the CPU, for ops that have no CUDA kernel.
inline void cpu_only(const Tensor& x, std::string_view op) {
  if (x && x.context().device() != Device::cpu)
    fail(Exit::device, "{}: has no CUDA kernel in this version, the tensor is on {}; use --device cpu", op, x.context().name());
}

}  // namespace alinea
