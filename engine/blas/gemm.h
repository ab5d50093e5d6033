// Matrix product behind one signature, row-major: C = alpha · op(A) · op(B) + beta · C,  op(A) [m, k], op(B) [k, n], C [m, n].
// Backends: on the CPU packed blocks (packed_product.h) where it has AVX-512, else OpenBLAS (loaded when first needed); cuBLAS on a GPU; and plain
// loops, the check of the others.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/core/tensor.h"

namespace alinea {

/// One product, or `batch` of them whose matrices lie a fixed number of elements apart.
struct Gemm {
  bool transpose_a = false, transpose_b = false;
  int64_t m = 0, n = 0, k = 0;
  int64_t lda = 0, ldb = 0, ldc = 0;                        // elements between the starts of two stored rows
  double alpha = 1, beta = 0;
  int64_t batch = 1, step_a = 0, step_b = 0, step_c = 0;    // elements between two matrices of the batch
};

/// How a GPU multiplies f32 matrices. Storage, sums and alpha, beta stay f32: tf32 and bf16 round only the factors, to 11 and to 8 bits of
/// mantissa, for its tensor cores. f64 products are always f64.
enum class Precision { fp32, tf32, bf16 };
inline constexpr std::array<std::string_view, 3> precision_names{"fp32", "tf32", "bf16"};

/// Holds for every product of this context from now on; fp32 at first. A CPU has fp32 alone and refuses the others (Exit::device).
void set_precision(Context& context, Precision precision);
Precision precision_of(const Context& context);

/// Pointers are on the context's device. m, n, k and the row steps must fit a 32-bit integer (BLAS's own limit).
template <class T>
void gemm(Context& context, const Gemm& g, const T* a, const T* b, T* c);

/// The same by plain loops, sums in double.
template <class T>
void gemm_plain(const Gemm& g, const T* a, const T* b, T* c);

/// What multiplies on this machine's CPU: ours, or the library, its kernel (core type) and how that was chosen.
std::string blas_description();

}  // namespace alinea
