// The protocol of every op. Attributes are members, tensors are arguments:
//
//   struct Softmax {
//     struct Saved { Tensor y; };                                              what backward keeps alive: the op's memory bill
//     Tensor   forward(const Tensor& x, Saved* kept) const;                    kept == nullptr: inference, keep and compute nothing extra
//     Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const; one gradient per input, may reuse g and kept when sole owner
//   };
//
// Several outputs: forward returns std::array<Tensor, M> and backward takes std::array<Tensor, M>&& (an entry without a gradient is empty).
// An op without a gradient has no `backward`; recording it on a tape is refused at the forward call.
// A `Needs<N> needs` member in Saved is filled before forward, so that nothing is kept for inputs that are frozen.
// Gradients handed to backward may be strided views: call g.compact() first where rows must be contiguous.
#pragma once
#include <array>
#include <cstddef>

#include "engine/core/tensor.h"

namespace alinea {

/// Whether an input wants its gradient, and, for parameters, the buffer to add it to: an op that can (linear, embedding, conv1d)
/// accumulates into `into` and returns it; others return a tensor of their own and the tape adds it.
struct Need {
  bool wanted = true;
  Tensor into;
  explicit operator bool() const { return wanted; }
};

template <size_t N>
using Needs = std::array<Need, N>;
template <size_t N>
using Grads = std::array<Tensor, N>;

/// Where an op leaves a parameter's gradient: `into` with beta 1 when there is one, else a new tensor with beta 0.
struct GradTarget {
  Tensor tensor;
  double beta;
  GradTarget(const Need& need, const Shape& shape, DType dtype, Context& context)
      : tensor(need.into ? need.into : context.empty(shape, dtype)), beta(need.into ? 1 : 0) {}
};

}  // namespace alinea
