// A few elements of a large tensor at once: tokens that are taken out of the scores of a vocabulary.
#pragma once
#include <vector>

#include "engine/core/tensor.h"

namespace alinea {

/// Writes `value` into the elements at `places` (numbers in row-major order, all different) of a contiguous x and returns what stood there.
std::vector<double> replace_elements(const Tensor& x, const std::vector<int64_t>& places, double value);

}  // namespace alinea
