// Adding gradients in place.
#pragma once
#include "engine/core/tensor.h"

namespace alinea {

/// sum += x. Same shape and dtype; sum contiguous, x any layout.
void add_into(const Tensor& sum, const Tensor& x);

}  // namespace alinea
