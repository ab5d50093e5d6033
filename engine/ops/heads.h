// One head of one item in a [B, H, T, D] tensor of any strides, and tensors whose memory is [B, T, H, D].
#pragma once
#include "engine/core/tensor.h"

namespace alinea {

/// constexpr also lets GPU code call at().
template <class T>
struct Heads {
  T* data;
  int64_t heads, item, head, row;                            // H, and the steps along B, H and T
  explicit Heads(const Tensor& x) : data(x.strided<T>()), heads(x.size(1)), item(x.stride(0)), head(x.stride(1)), row(x.stride(2)) {}
  constexpr T* at(int64_t unit, int64_t i = 0) const { return data + unit / heads * item + unit % heads * head + i * row; }
};

/// [B, H, T, D] over memory [B, T, H, D].
inline Tensor empty_heads(const Tensor& like) {
  return like.context().empty({like.size(0), like.size(2), like.size(1), like.size(3)}, like.dtype()).permute({0, 2, 1, 3});
}

/// Strided views are taken as they are when the last axis is dense.
inline Tensor dense_rows(const Tensor& x) { return x.size(3) == 1 || x.stride(3) == 1 ? x : x.compact(); }

}  // namespace alinea
