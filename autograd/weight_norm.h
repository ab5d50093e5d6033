// Tape wrapper of weight normalisation.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/weight_norm.h"

namespace alinea {

/// w [O, C, K]: the taps of v [O, C, K] scaled to the lengths g [1, 1, K].
inline Variable weight_norm(const Variable& v, const Variable& g) { return Tape::apply(WeightNorm{}, "weight_norm", v, g); }

}  // namespace alinea
