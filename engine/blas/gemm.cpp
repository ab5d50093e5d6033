#include "engine/blas/gemm.h"

#include "engine/blas/cuda_gemm.h"
#include "engine/blas/openblas.h"
#include "engine/blas/packed_product.h"
#include "engine/blas/tile.h"
#include "engine/core/device.h"

namespace alinea {

template <class T>
void gemm_plain(const Gemm& g, const T* a, const T* b, T* c) {
  for (int64_t item = 0; item < g.batch; ++item)
    for (int64_t i = 0; i < g.m; ++i)
      for (int64_t j = 0; j < g.n; ++j) {
        double s = 0;
        for (int64_t l = 0; l < g.k; ++l)
          s += double(a[item * g.step_a + (g.transpose_a ? l * g.lda + i : i * g.lda + l)]) *
               double(b[item * g.step_b + (g.transpose_b ? j * g.ldb + l : l * g.ldb + j)]);
        T& out = c[item * g.step_c + i * g.ldc + j];
        out = T(g.alpha * s + (g.beta == 0 ? 0 : g.beta * double(out)));
      }
}

void set_precision(Context& context, Precision precision) {
  if constexpr (have_cuda) {
    if (context.device() == Device::cuda) return cuda::set_precision(context, precision);
  }
  if (precision != Precision::fp32) fail(Exit::device, "{} multiplies in fp32 only; tf32 and bf16 products are for a GPU", context.name());
}

Precision precision_of([[maybe_unused]] const Context& context) {
  if constexpr (have_cuda) {
    if (context.device() == Device::cuda) return cuda::precision_of(context);
  }
  return Precision::fp32;
}

std::string blas_description() { return wide_registers() ? "packed blocks for AVX-512" : openblas().description(); }

template <class T>
void gemm([[maybe_unused]] Context& context, const Gemm& g, const T* a, const T* b, T* c) {
  constexpr int64_t limit = (int64_t(1) << 31) - 1;
  require(g.m <= limit && g.n <= limit && g.k <= limit && g.lda <= limit && g.ldb <= limit && g.ldc <= limit,
          "gemm: m {}, n {}, k {} must stay below 2^31; split the product", g.m, g.n, g.k);
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  if constexpr (have_cuda) {
    if (context.device() == Device::cuda) return cuda::gemm(context, g, a, b, c);
  }
  if (wide_registers()) packed_product(g, a, b, c);
  else openblas_product(g, a, b, c);
}

template void gemm(Context&, const Gemm&, const float*, const float*, float*);
template void gemm(Context&, const Gemm&, const double*, const double*, double*);
template void gemm_plain(const Gemm&, const float*, const float*, float*);
template void gemm_plain(const Gemm&, const double*, const double*, double*);

}  // namespace alinea
