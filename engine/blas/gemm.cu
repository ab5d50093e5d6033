// Matrix products by cuBLAS. cuBLAS is column-major, and a row-major matrix read column by column is its transpose:
// the row-major C = op(A) op(B) is the column-major Cᵀ = op(B)ᵀ op(A)ᵀ, so the operands change places and nothing is copied.
// All products go through one call, whose types say what is stored and whose compute type says how factors are rounded.
#include <limits>

#include "engine/blas/cuda_gemm.h"
#include "engine/core/cuda.cuh"

namespace alinea::cuda {

namespace {

constexpr cudaDataType_t stored(float) { return CUDA_R_32F; }
constexpr cudaDataType_t stored(double) { return CUDA_R_64F; }

cublasComputeType_t computed(double, Precision) { return CUBLAS_COMPUTE_64F; }
cublasComputeType_t computed(float, Precision precision) {
  switch (precision) {
    case Precision::tf32: return CUBLAS_COMPUTE_32F_FAST_TF32;
    case Precision::bf16: return CUBLAS_COMPUTE_32F_FAST_16BF;
    case Precision::fp32: break;
  }
  return CUBLAS_COMPUTE_32F;
}

}  // namespace

template <class T>
void gemm(Context& context, const Gemm& g, const T* a, const T* b, T* c) {
  require(g.batch <= std::numeric_limits<int>::max(), "gemm: a batch of {} products; cuBLAS takes fewer than 2^31, split it", g.batch);
  const T alpha = T(g.alpha), beta = T(g.beta);
  auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
  auto step = [](int64_t ld) { return int(std::max<int64_t>(1, ld)); };
  constexpr cudaDataType_t type = stored(T());
  check(cublasGemmStridedBatchedEx(cublas_of(context), operation(g.transpose_b), operation(g.transpose_a), int(g.n), int(g.m), int(g.k), &alpha, b, type,
                                   step(g.ldb), g.step_b, a, type, step(g.lda), g.step_a, &beta, c, type, step(g.ldc), g.step_c, int(g.batch),
                                   computed(T(), cuda::precision_of(context)), CUBLAS_GEMM_DEFAULT),
        "gemm");
}

template void gemm(Context&, const Gemm&, const float*, const float*, float*);
template void gemm(Context&, const Gemm&, const double*, const double*, double*);

}  // namespace alinea::cuda
