// Rows of a table by number.
#pragma once
#include "engine/ops/op.h"

namespace alinea {

/// y[…] = scale · weight[ids[…]].   weight [V, C]  ids i64 [...]  ->  y [..., C]
///   dweight[v] = scale · Σ over the places where v stands of g; none for v = padding_idx (-1: no such row)
/// Both contiguous; weight f32, f64, or bf16 (y is f32 then, and there is no gradient). Keeps ids. The gradient is added to `into` where there is one (only the rows that occur are touched), else it is dense.
/// Each column is summed in the order of ids, so the result is the same for any number of threads. An id outside 0 … V-1 is bad data.
/// ids may lie on the CPU while weight is on a GPU; ids on a GPU are waited for, since they are checked on the CPU.
struct Embedding {
  int64_t padding_idx = -1;
  double scale = 1;
  struct Saved {
    Tensor ids;
    Shape weight;
  };
  Tensor forward(const Tensor& weight, const Tensor& ids, Saved* kept) const;
  Grads<2> backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const;
};

}  // namespace alinea
