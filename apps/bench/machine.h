// What this machine can do at most, measured: the yardstick of the benchmarks and of `alinea doctor`.
#pragma once
#include "engine/core/context.h"

namespace alinea {

/// fp32 product of two 1024 x 1024 matrices by the context's BLAS.
double peak_gemm_gflops(Context& context);
/// Bytes read and written per second, in 1e9, copying 64 MiB that no cache holds.
double peak_copy_gb_per_second(Context& context);
/// Bytes read per second, in 1e9, of 512 MiB; 0 on a GPU, where the copy tells as much.
double peak_read_gb_per_second(Context& context);

}  // namespace alinea
