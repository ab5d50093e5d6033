// The same elements in another arrangement. Reshape, permute and slice return views: nothing is copied, the result shares storage with x.
// Any dtype; gradients are in x's.
#pragma once
#include <vector>

#include "engine/ops/op.h"

namespace alinea {

/// x under another shape with as many elements; one size may be -1. x contiguous. dx = g under x's shape.
struct Reshape {
  Shape shape;
  struct Saved {
    Shape x;
  };
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// Axis i of y is axis order[i] of x (a view). dx is g permuted back (a view).
struct Permute {
  std::vector<int> order;
  struct Saved {};
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// Elements begin … end-1 of an axis (a view). dx is g there and 0 elsewhere.
struct Slice {
  int axis = 0;
  int64_t begin = 0, end = 0;
  struct Saved {
    Shape x;
  };
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// The elements row by row in storage of their own when x is a strided view, x itself when it is contiguous. dx = g.
struct Compact {
  struct Saved {};
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// Two to four tensors one after the other along an axis (the later two may be none), any layout; the other axes are equal.
/// The gradients are slices of g (views).
struct Concat {
  int axis = 0;
  struct Saved {
    std::array<int64_t, 4> sizes{};
  };
  Tensor forward(const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& d, Saved* kept) const;
  Grads<4> backward(Saved&& kept, Tensor&& g, const Needs<4>& need) const;
};

/// x repeated along axes of size 1 and along new leading axes until it has `shape` (copied out). x contiguous, f32 or f64.
/// dx = the sum of g over the repeated axes (sum_to).
struct Expand {
  Shape shape;
  struct Saved {
    Shape x;
  };
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// factor · x expanded to `shape`; what Expand and the gradients of sums compute.
Tensor expand_to(const Tensor& x, const Shape& shape, double factor = 1);

}  // namespace alinea
