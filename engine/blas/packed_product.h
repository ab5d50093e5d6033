// The matrix product on processors with AVX-512: blocks that fit the caches (Goto and van de Geijn, "Anatomy of high-performance matrix
// multiplication", ACM TOMS 34, 2008), the innermost of them tile_product.
//
// C is cut into tasks (cut.h). Within a task, k is cut into depths of at most 400:
//   - depth x columns of op(B) are copied into panels of four vectors, one row of a panel after the other: half of the second-level cache, read
//     from there once for every 6 rows of A;
//   - 12 rows of op(A) by depth stay in the first level while all panels pass. They are read where they lie; a transposed A is copied first,
//     since its rows would come from as many pages as they have numbers.
// Neighbouring rows of A (or of op(B)) may overlap: windows of a sequence are a matrix whose row step is less than its row.
#pragma once
#include "engine/blas/gemm.h"

namespace alinea {

/// As gemm(), pointers on the CPU. Inside a parallel region: on the calling thread alone.
template <class T>
void packed_product(const Gemm& g, const T* a, const T* b, T* c);

}  // namespace alinea
