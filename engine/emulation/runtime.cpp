#include <fmt/format.h>

#include <atomic>
#include <map>
#include <utility>

#include "engine/emulation/cuda_runtime.h"
#include "engine/emulation/memory.h"

namespace {

cudaError_t last = cudaSuccess;
std::string launch_problem;                                  // of the last cudaErrorLaunchFailure or cudaErrorInvalidValue
std::map<const void*, size_t> shared_allowed;
std::atomic<int64_t> waited = 0;

cudaError_t failed(cudaError_t error, std::string problem) {
  launch_problem = std::move(problem);
  return last = error;
}

// Limits of compute capability 8.0.
std::string refuse(const cudaLaunchConfig_t& c, const void* kernel) {
  constexpr size_t usual = 48 << 10;
  const size_t threads = size_t(c.blockDim.x) * c.blockDim.y * c.blockDim.z, allowed = std::max(usual, shared_allowed[kernel]);
  if (threads == 0 || threads > 1024 || c.blockDim.z > 64) return fmt::format("{} × {} × {} threads in a block", c.blockDim.x, c.blockDim.y, c.blockDim.z);
  if (c.gridDim.x == 0 || c.gridDim.x > 0x7fffffff || c.gridDim.y == 0 || c.gridDim.y > 65535 || c.gridDim.z == 0 || c.gridDim.z > 65535)
    return fmt::format("{} × {} × {} blocks", c.gridDim.x, c.gridDim.y, c.gridDim.z);
  if (c.dynamicSmemBytes > allowed) return fmt::format("{} bytes of shared memory, {} are allowed", c.dynamicSmemBytes, allowed);
  return {};
}

}  // namespace

cudaError_t alinea::emulation::launch(const cudaLaunchConfig_t& config, const void* kernel, const std::function<void()>& body) {
  if (std::string problem = refuse(config, kernel); !problem.empty()) return failed(cudaErrorInvalidValue, problem);
  const Access access;
  std::string problem = run_grid(config.gridDim, config.blockDim, config.dynamicSmemBytes, body);
  if (problem.empty()) problem = damaged_guard();
  return problem.empty() ? cudaSuccess : failed(cudaErrorLaunchFailure, problem);
}

cudaError_t alinea::emulation::allow_shared_memory(const void* kernel, int bytes) {
  constexpr int most = 163 << 10;
  if (bytes < 0 || bytes > most) return failed(cudaErrorInvalidValue, fmt::format("{} bytes of shared memory, a block has {}", bytes, most));
  shared_allowed[kernel] = size_t(bytes);
  return cudaSuccess;
}

const char* cudaGetErrorName(cudaError_t error) {
  constexpr const char* names[] = {"cudaSuccess", "cudaErrorInvalidValue", "cudaErrorMemoryAllocation", "cudaErrorInsufficientDriver", "cudaErrorNoDevice",
                                   "cudaErrorNoKernelImageForDevice", "cudaErrorUnsupportedPtxVersion", "cudaErrorLaunchFailure"};
  return names[error];
}

const char* cudaGetErrorString(cudaError_t error) {
  if (error == cudaErrorMemoryAllocation) return "out of memory";
  return error == cudaSuccess ? "no error" : launch_problem.c_str();
}

cudaError_t cudaGetLastError() { return std::exchange(last, cudaSuccess); }

cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t) {
  *p = alinea::emulation::allocate(bytes);
  return *p ? cudaSuccess : last = cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeAsync(void* p, cudaStream_t) {
  alinea::emulation::release(p);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  if (kind == cudaMemcpyHostToDevice) return alinea::emulation::copy_in(to, from, bytes), cudaSuccess;
  const alinea::emulation::Access access;
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) {
  const alinea::emulation::Access access;
  std::memset(p, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  *p = alinea::emulation::allocate_pinned(bytes);
  return *p ? cudaSuccess : last = cudaErrorMemoryAllocation;
}

struct CUevent_st {
  int64_t copies = 0;                                        // that were put off before it
};

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return *event = new CUevent_st, cudaSuccess; }

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) { return event->copies = alinea::emulation::copies_put_off(), cudaSuccess; }

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  waited += alinea::emulation::finish_copies(event->copies);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) {
  alinea::emulation::finish_copies(alinea::emulation::copies_put_off());
  ++waited;
  return cudaSuccess;
}

int64_t alinea::emulation::waits() { return waited; }

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = alinea::emulation::device_bytes;
  *free = *total - alinea::emulation::bytes_used();
  return cudaSuccess;
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr attribute, void* value) {
  *static_cast<uint64_t*>(value) = attribute == cudaMemPoolAttrUsedMemCurrent ? alinea::emulation::bytes_used() : alinea::emulation::bytes_reserved();
  return cudaSuccess;
}
