// The GPU kernels of the optimiser (adamw.cu). Nothing here waits for the GPU.
#pragma once
#include "engine/ops/adamw_step.h"

namespace alinea::cuda {

/// Buffers of n elements.
template <class T>
void adamw(Context& context, const AdamWStep<T>& step, const AdamWBuffers<T>& buffers, int64_t n);

void l2_norm(const Tensor& x, const Tensor& norm);           // f64 {}

template <class T>
void clip_scale(Context& context, const double* norm, double max_norm, T* scale);

}  // namespace alinea::cuda
