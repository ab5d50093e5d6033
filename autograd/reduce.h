// Tape wrappers of sums and means.
#pragma once
#include "autograd/elementwise.h"
#include "engine/ops/reduce.h"

namespace alinea {

/// Over all elements: a scalar [].
inline Variable sum(const Variable& x) { return Tape::apply(Sum{}, "sum", x); }
inline Variable mean(const Variable& x) { return Tape::apply(Sum{.mean = true}, "mean", x); }
/// Over one axis, which disappears.
inline Variable sum(const Variable& x, int axis) { return Tape::apply(Sum{axis}, "sum", x); }
inline Variable mean(const Variable& x, int axis) { return Tape::apply(Sum{axis, true}, "mean", x); }
/// Σ x ⊙ weights: a scalar []. Weights: a tensor for constants, or a variable.
inline Variable weighted_sum(const Variable& x, const Variable& weights) { return sum(mul(x, weights)); }
/// Summed over leading axes and the axes that are 1 in `shape`.
inline Variable sum_to(const Variable& x, const Shape& shape) { return Tape::apply(SumTo{shape}, "sum_to", x); }

}  // namespace alinea
