// What .cu files share: error checks, the stream and cuBLAS handle of a context, launching kernels, and loops over elements.
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

/// First element of a contiguous tensor, or null for none.
template <class T>
T* pointer(const Tensor& t) { return t ? t.data<T>() : nullptr; }

/// How many blocks a kernel is started with, along up to three axes: 64 bits, since counts of rows and tiles are, and launch() refuses more than a
/// GPU takes.
struct Blocks {
  int64_t x, y, z;
  Blocks(int64_t x, int64_t y = 1, int64_t z = 1) : x(x), y(y), z(z) {}
};

/// Blocks that cover n items, `per_block` each; at most `most`, whose kernels then go round (a grid-stride loop).
inline int64_t blocks_for(int64_t n, int64_t per_block, int64_t most = 1 << 20) { return std::min(most, (n + per_block - 1) / per_block); }

/// Starts kernel(arguments...) on the context's stream; an empty grid is nothing to do. Refuses what the GPU does not take. Outside this
/// function no kernel is started.
template <class... P, class... A>
void launch(Context& context, std::string_view place, Blocks blocks, dim3 threads, size_t shared_bytes, void (*kernel)(P...), A... arguments) {
  cudaLaunchConfig_t config{};
  config.stream = stream_of(context);
  if (blocks.x == 0 || blocks.y == 0 || blocks.z == 0) return;
  require(blocks.x <= 0x7fffffff && blocks.y <= 65535 && blocks.z <= 65535,
          "{}: {} × {} × {} blocks; a GPU takes 2^31 - 1 along the first axis and 65535 along the others, use a smaller batch", place, blocks.x, blocks.y, blocks.z);
  config.gridDim = dim3(unsigned(blocks.x), unsigned(blocks.y), unsigned(blocks.z)), config.blockDim = threads, config.dynamicSmemBytes = shared_bytes;
  constexpr size_t without_asking = 48 << 10;
  if (shared_bytes > without_asking) check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes)), place);
  check(cudaLaunchKernelEx(&config, kernel, P(arguments)...), place);
}

/// The shared_bytes of launch(), in a kernel. Aligned to 16 bytes.
template <class T>
__device__ T* shared_memory() {
#ifdef __CUDACC__
  extern __shared__ __align__(16) unsigned char alinea_shared_bytes[];
  return reinterpret_cast<T*>(alinea_shared_bytes);
#else
  return static_cast<T*>(emulation::dynamic_shared_memory());
#endif
}

template <class F>
__global__ void each_kernel(int64_t n, F f) {
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += int64_t(gridDim.x) * blockDim.x) f(i);
}

/// f(i) for i = 0 … n-1 on the context's stream, one thread per element (a grid-stride loop with its own bound, 64-bit counts).
template <class F>
void each(Context& context, int64_t n, std::string_view place, F f) {
  constexpr int threads = 256;
  launch(context, place, blocks_for(n, threads), threads, 0, each_kernel<F>, n, f);
}

}  // namespace alinea::cuda
