#include <bit>
#include <vector>

#include "engine/blas/gemm.h"
#include "engine/emulation/cublas_v2.h"
#include "engine/emulation/memory.h"

namespace {

using alinea::Gemm;

// The factors as the tensor cores take them: the lower bits of the mantissa are rounded away, to nearest, ties to even. Infinities and NaN stay.
float rounded(float x, int bits_away) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7F800000u) == 0x7F800000u) return x;
  const uint32_t unit = 1u << bits_away, odd = (bits >> bits_away) & 1;
  return std::bit_cast<float>((bits + unit / 2 - 1 + odd) & ~(unit - 1));
}

// Copies of `batch` stored matrices of rows × columns, rounded, one behind the other.
std::vector<float> rounded(const float* from, int64_t rows, int64_t columns, int64_t ld, int64_t step, int64_t batch, int bits_away) {
  std::vector<float> out;
  out.reserve(size_t(batch * rows * columns));
  for (int64_t item = 0; item < batch; ++item)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c) out.push_back(rounded(from[item * step + r * ld + c], bits_away));
  return out;
}

void fast_product(Gemm g, const float* a, const float* b, float* c, int bits_away) {
  const int64_t a_rows = g.transpose_a ? g.k : g.m, a_columns = g.transpose_a ? g.m : g.k, b_rows = g.transpose_b ? g.n : g.k, b_columns = g.transpose_b ? g.k : g.n;
  const auto near_a = rounded(a, a_rows, a_columns, g.lda, g.step_a, g.batch, bits_away), near_b = rounded(b, b_rows, b_columns, g.ldb, g.step_b, g.batch, bits_away);
  g.lda = a_columns, g.ldb = b_columns, g.step_a = a_rows * a_columns, g.step_b = b_rows * b_columns;
  alinea::gemm(alinea::Context::cpu(), g, near_a.data(), near_b.data(), c);
}

}  // namespace

// A column-major C = A B is the row-major Cᵀ = Bᵀ Aᵀ of the same memory.
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t, cublasOperation_t a_as, cublasOperation_t b_as, int m, int n, int k, const void* alpha, const void* a,
                                          cudaDataType_t a_type, int lda, long long step_a, const void* b, cudaDataType_t b_type, int ldb, long long step_b,
                                          const void* beta, void* c, cudaDataType_t c_type, int ldc, long long step_c, int batch, cublasComputeType_t compute,
                                          cublasGemmAlgo_t) {
  const bool f64 = compute == CUBLAS_COMPUTE_64F;
  const cudaDataType_t type = f64 ? CUDA_R_64F : CUDA_R_32F;
  if (a_type != type || b_type != type || c_type != type) return CUBLAS_STATUS_NOT_SUPPORTED;
  const alinea::emulation::Access access;
  auto number = [&](const void* p) { return f64 ? *static_cast<const double*>(p) : double(*static_cast<const float*>(p)); };
  const Gemm g{b_as == CUBLAS_OP_T, a_as == CUBLAS_OP_T, n, m, k, ldb, lda, ldc, number(alpha), number(beta), batch, step_b, step_a, step_c};
  auto& cpu = alinea::Context::cpu();
  if (f64) alinea::gemm(cpu, g, static_cast<const double*>(b), static_cast<const double*>(a), static_cast<double*>(c));
  else if (compute == CUBLAS_COMPUTE_32F) alinea::gemm(cpu, g, static_cast<const float*>(b), static_cast<const float*>(a), static_cast<float*>(c));
  else
    fast_product(g, static_cast<const float*>(b), static_cast<const float*>(a), static_cast<float*>(c), compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? 13 : 16);
  return CUBLAS_STATUS_SUCCESS;
}
