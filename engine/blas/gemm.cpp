#include "engine/blas/gemm.h"

#include "engine/blas/cuda_gemm.h"
#include "engine/blas/openblas.h"
#include "engine/core/device.h"
#include "engine/core/parallel.h"

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

namespace {

template <class T>
void one(const Gemm& g, int64_t item, int64_t row, int64_t rows, const T* a, const T* b, T* c) {
  const T* ap = a + item * g.step_a + (g.transpose_a ? row : row * g.lda);
  openblas().gemm(g.transpose_a, g.transpose_b, rows, g.n, g.k, T(g.alpha), ap, g.lda, b + item * g.step_b, g.ldb, T(g.beta),
                  c + item * g.step_c + row * g.ldc, g.ldc);
}

// OpenBLAS's own threading loses at middle sizes (measured: 244 against 340 GFLOP/s of two independent halves at n = 256),
// so the batch, or the rows of C, are split over our threads and every call runs on one.
template <class T>
void gemm_cpu(const Gemm& g, const T* a, const T* b, T* c) {
  const double work = double(g.m) * double(g.n) * double(g.k);
  if (g.batch >= threads() || g.m < 2 * threads()) {
    const auto grain = int64_t(std::max(1.0, 1e5 / std::max(work, 1.0)));
    return parallel_for(g.batch, grain, [&](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; ++item) one(g, item, 0, g.m, a, b, c);
    });
  }
  const auto grain = std::max<int64_t>(8, int64_t(2e5 / std::max(1.0, double(g.n) * double(g.k))));
  for (int64_t item = 0; item < g.batch; ++item) {
    if (g.m >= g.n / 4) {
      parallel_for(g.m, grain, [&](int64_t begin, int64_t end) { one(g, item, begin, end - begin, a, b, c); });
      continue;
    }
    parallel_for(g.n, grain, [&](int64_t begin, int64_t end) {   // a wide product: split the columns instead
      Gemm part = g;
      part.n = end - begin;
      one(part, item, 0, g.m, a, b + (g.transpose_b ? begin * g.ldb : begin), c + begin);
    });
  }
}

}  // namespace

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

template <class T>
void gemm([[maybe_unused]] Context& context, const Gemm& g, const T* a, const T* b, T* c) {
  constexpr int64_t limit = (int64_t(1) << 31) - 1;
  require(g.m <= limit && g.n <= limit && g.k <= limit && g.lda <= limit && g.ldb <= limit && g.ldc <= limit,
          "gemm: m {}, n {}, k {} must stay below 2^31; split the product", g.m, g.n, g.k);
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  if constexpr (have_cuda) {
    if (context.device() == Device::cuda) return cuda::gemm(context, g, a, b, c);
  }
  gemm_cpu(g, a, b, c);
}

template void gemm(Context&, const Gemm&, const float*, const float*, float*);
template void gemm(Context&, const Gemm&, const double*, const double*, double*);
template void gemm_plain(const Gemm&, const float*, const float*, float*);
template void gemm_plain(const Gemm&, const double*, const double*, double*);

}  // namespace alinea
