// Matrix products by cuBLAS. cuBLAS is column-major, and a row-major matrix read column by column is its transpose:
// the row-major C = op(A) op(B) is the column-major Cᵀ = op(B)ᵀ op(A)ᵀ, so the operands change places and nothing is copied.
#include "engine/blas/gemm.h"

#include <limits>

#include "engine/core/cuda.cuh"

namespace alinea::cuda {

namespace {

constexpr auto& strided_batched(float) { return cublasSgemmStridedBatched; }
constexpr auto& strided_batched(double) { return cublasDgemmStridedBatched; }

}  // namespace

template <class T>
void gemm(Context& context, const Gemm& g, const T* a, const T* b, T* c) {
  require(g.batch <= std::numeric_limits<int>::max(), "gemm: a batch of {} products; cuBLAS takes fewer than 2^31, split it", g.batch);
  const T alpha = T(g.alpha), beta = T(g.beta);
  auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
  auto step = [](int64_t ld) { return int(std::max<int64_t>(1, ld)); };
  check(strided_batched(T())(cublas_of(context), operation(g.transpose_b), operation(g.transpose_a), int(g.n), int(g.m), int(g.k), &alpha, b, step(g.ldb),
                             g.step_b, a, step(g.lda), g.step_a, &beta, c, step(g.ldc), g.step_c, int(g.batch)),
        "gemm");
}

template void gemm(Context&, const Gemm&, const float*, const float*, float*);
template void gemm(Context&, const Gemm&, const double*, const double*, double*);

}  // namespace alinea::cuda
