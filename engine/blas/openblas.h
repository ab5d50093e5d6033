// OpenBLAS, loaded at run time so that its kernel (core type) can be chosen before it initialises.
#pragma once
#include <cstdint>
#include <string>

#include "engine/blas/gemm.h"

namespace alinea {

class OpenBlas {
 public:
  /// Loads the library; Error{device} names what to install when it is missing.
  OpenBlas();
  void gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b, int64_t ldb, float beta,
            float* c, int64_t ldc) const;
  void gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double* a, int64_t lda, const double* b, int64_t ldb,
            double beta, double* c, int64_t ldc) const;
  const std::string& description() const { return description_; }

 private:
  void *sgemm_ = nullptr, *dgemm_ = nullptr;
  std::string description_;
};

const OpenBlas& openblas();

/// As gemm(), pointers on the CPU; the product of processors without AVX-512, whose registers suit OpenBLAS's own kernels best.
template <class T>
void openblas_product(const Gemm& g, const T* a, const T* b, T* c);

}  // namespace alinea
