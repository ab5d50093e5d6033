#include "engine/blas/openblas.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>

#include "engine/blas/tile.h"
#include "engine/core/error.h"
#include "engine/core/parallel.h"

namespace alinea {

namespace {

using Sgemm = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
using Dgemm = void (*)(int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*, int);

// OpenBLAS 0.3.21 falls back to AVX2 kernels on processors that it does not know; it reads OPENBLAS_CORETYPE while it is loaded.
std::string choose_core_type() {
  if (const char* chosen = std::getenv("OPENBLAS_CORETYPE")) return std::string("OPENBLAS_CORETYPE=") + chosen + " from the environment";
#if defined(__x86_64__)
  if (wide_registers()) {
    setenv("OPENBLAS_CORETYPE", "SKYLAKEX", 1);
    return "SKYLAKEX chosen, the processor has AVX-512";
  }
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    setenv("OPENBLAS_CORETYPE", "HASWELL", 1);
    return "HASWELL chosen, the processor has AVX2 and FMA";
  }
#endif
  return "the library's own choice";
}

void* load() {
  for (const char* name : {"/usr/lib/x86_64-linux-gnu/openblas-openmp/libopenblas.so.0", "libopenblas.so.0", "libopenblas.so"})
    if (void* handle = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return handle;
  fail(Exit::device, "OpenBLAS could not be loaded ({}); install it with: apt-get install libopenblas0-openmp", dlerror());
}

}  // namespace

OpenBlas::OpenBlas() {
  const std::string choice = choose_core_type();
  void* handle = load();
  sgemm_ = dlsym(handle, "cblas_sgemm");
  dgemm_ = dlsym(handle, "cblas_dgemm");
  if (!sgemm_ || !dgemm_) fail(Exit::device, "OpenBLAS: the library has no cblas_sgemm; install libopenblas0-openmp");
  if (auto set = reinterpret_cast<void (*)(int)>(dlsym(handle, "openblas_set_num_threads"))) set(1);   // the split is ours, see gemm.cpp
  auto text = [&](const char* symbol) {
    const auto get = reinterpret_cast<char* (*)()>(dlsym(handle, symbol));
    return std::string(get ? get() : "?");
  };
  description_ = text("openblas_get_config") + ", kernel " + text("openblas_get_corename") + " (" + choice + ")";
}

void OpenBlas::gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b, int64_t ldb,
                    float beta, float* c, int64_t ldc) const {
  reinterpret_cast<Sgemm>(sgemm_)(101, ta ? 112 : 111, tb ? 112 : 111, int(m), int(n), int(k), alpha, a, int(std::max<int64_t>(lda, 1)), b,
                                  int(std::max<int64_t>(ldb, 1)), beta, c, int(std::max<int64_t>(ldc, 1)));
}

void OpenBlas::gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double* a, int64_t lda, const double* b, int64_t ldb,
                    double beta, double* c, int64_t ldc) const {
  reinterpret_cast<Dgemm>(dgemm_)(101, ta ? 112 : 111, tb ? 112 : 111, int(m), int(n), int(k), alpha, a, int(std::max<int64_t>(lda, 1)), b,
                                  int(std::max<int64_t>(ldb, 1)), beta, c, int(std::max<int64_t>(ldc, 1)));
}

const OpenBlas& openblas() {
  static const OpenBlas library;
  return library;
}

namespace {

template <class T>
void one(const Gemm& g, int64_t item, int64_t row, int64_t rows, const T* a, const T* b, T* c) {
  const T* ap = a + item * g.step_a + (g.transpose_a ? row : row * g.lda);
  openblas().gemm(g.transpose_a, g.transpose_b, rows, g.n, g.k, T(g.alpha), ap, g.lda, b + item * g.step_b, g.ldb, T(g.beta),
                  c + item * g.step_c + row * g.ldc, g.ldc);
}

}  // namespace

// OpenBLAS's own threading loses at middle sizes (measured: 244 against 340 GFLOP/s of two independent halves at n = 256),
// so the batch, or the rows of C, are split over our threads and every call runs on one.
template <class T>
void openblas_product(const Gemm& g, const T* a, const T* b, T* c) {
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

template void openblas_product(const Gemm&, const float*, const float*, float*);
template void openblas_product(const Gemm&, const double*, const double*, double*);

}  // namespace alinea
