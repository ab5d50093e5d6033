// Averages over windows of time.
#pragma once
#include "engine/ops/op.h"

namespace alinea {

/// y[b, w, c] = mean of x[b, t, c] over t in w · ratio … min((w + 1) · ratio, length_b) − 1;   dx[b, t, c] = g[b, ⌊t/ratio⌋, c] / members of its window
/// x [B, T, C] contiguous  ->  y [B, ⌈T / ratio⌉, C]. The last window of an item may be partial, windows past its length give zeros.
/// lengths: real rows per item, empty = all T. Keeps nothing but the shape.
struct AvgPoolTime {
  int64_t ratio = 1;
  std::vector<int32_t> lengths;
  struct Saved {
    Shape shape;
  };
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

}  // namespace alinea
