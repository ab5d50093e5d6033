#include "engine/blas/gemm.h"
#include "engine/emulation/cublas_v2.h"
#include "engine/emulation/memory.h"

namespace {

// A column-major C = A B is the row-major Cᵀ = Bᵀ Aᵀ of the same memory.
template <class T>
cublasStatus_t product(cublasOperation_t a_as, cublasOperation_t b_as, int m, int n, int k, T alpha, const T* a, int lda, long long step_a, const T* b, int ldb,
                       long long step_b, T beta, T* c, int ldc, long long step_c, int batch) {
  const alinea::emulation::Access access;
  const alinea::Gemm g{b_as == CUBLAS_OP_T, a_as == CUBLAS_OP_T, n, m, k, ldb, lda, ldc, double(alpha), double(beta), batch, step_b, step_a, step_c};
  alinea::gemm(alinea::Context::cpu(), g, b, a, c);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t, cublasOperation_t a_as, cublasOperation_t b_as, int m, int n, int k, const float* alpha, const float* a, int lda,
                                         long long step_a, const float* b, int ldb, long long step_b, const float* beta, float* c, int ldc, long long step_c, int batch) {
  return product(a_as, b_as, m, n, k, *alpha, a, lda, step_a, b, ldb, step_b, *beta, c, ldc, step_c, batch);
}

cublasStatus_t cublasDgemmStridedBatched(cublasHandle_t, cublasOperation_t a_as, cublasOperation_t b_as, int m, int n, int k, const double* alpha, const double* a, int lda,
                                         long long step_a, const double* b, int ldb, long long step_b, const double* beta, double* c, int ldc, long long step_c, int batch) {
  return product(a_as, b_as, m, n, k, *alpha, a, lda, step_a, b, ldb, step_b, *beta, c, ldc, step_c, batch);
}
