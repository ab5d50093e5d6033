// Products on a GPU: gemm.cu, and the precision that the context holds (core/cuda_context.cu).
#pragma once
#include "engine/blas/gemm.h"

namespace alinea::cuda {

template <class T>
void gemm(Context&, const Gemm&, const T* a, const T* b, T* c);

void set_precision(Context&, Precision);
Precision precision_of(const Context&);

}  // namespace alinea::cuda
