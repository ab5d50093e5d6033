// The tensor's own GPU kernels, for context.cpp and tensor.cpp, which have checked shapes and dtypes.
#pragma once
#include "engine/core/tensor.h"

namespace alinea::cuda {

void fill(const Tensor& x, double value);                    // x contiguous
void convert(const Tensor& from, const Tensor& to);          // another dtype; both contiguous
void copy_strided(const Tensor& from, const Tensor& to);     // any layouts

}  // namespace alinea::cuda
