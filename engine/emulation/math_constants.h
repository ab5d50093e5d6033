// CUDA's header of this name, as far as the kernels use it.
#pragma once
#include <limits>

#define CUDART_INF std::numeric_limits<double>::infinity()
