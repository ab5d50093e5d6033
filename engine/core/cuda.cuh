// What .cu files share: error checks, the stream and cuBLAS handle of a context, and loops over elements.
#pragma once
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include "engine/core/tensor.h"

namespace alinea::cuda {

/// Throws Error{device} naming the place and CUDA's own words unless the call succeeded.
void check(cudaError_t status, std::string_view place);
void check(cublasStatus_t status, std::string_view place);

/// The stream all work of a GPU context runs on; makes its GPU the current one. Refuses a CPU context.
cudaStream_t stream_of(Context& context);
cublasHandle_t cublas_of(Context& context);

template <class F>
__global__ void each_kernel(int64_t n, F f) {
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += int64_t(gridDim.x) * blockDim.x) f(i);
}

/// f(i) for i = 0 … n-1 on the context's stream, one thread per element (a grid-stride loop with its own bound, 64-bit counts).
template <class F>
void each(Context& context, int64_t n, std::string_view place, F f) {
  const cudaStream_t stream = stream_of(context);
  if (n == 0) return;
  constexpr int64_t threads = 256, most_blocks = 1 << 20;
  each_kernel<<<unsigned(std::min(most_blocks, (n + threads - 1) / threads)), unsigned(threads), 0, stream>>>(n, f);
  check(cudaGetLastError(), place);
}

}  // namespace alinea::cuda
