// The GPU as a Context: the driver's stream-ordered pool for memory, one stream, one cuBLAS handle. Takes no_cuda.cpp's place in builds
// with CUDA.
#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "engine/blas/cuda_gemm.h"
#include "engine/core/cuda.cuh"
#include "engine/core/cuda_staging.h"
#include "engine/core/device.h"

namespace alinea {

namespace cuda {

void check(cudaError_t status, std::string_view place) {
  if (status == cudaSuccess) return;
  cudaGetLastError();                                        // reported here, not once more by the next check
  fail(Exit::device, "cuda: {}: {} ({})", place, cudaGetErrorString(status), cudaGetErrorName(status));
}

void check(cublasStatus_t status, std::string_view place) {
  if (status != CUBLAS_STATUS_SUCCESS) fail(Exit::device, "cuda: {}: {} ({})", place, cublasGetStatusString(status), cublasGetStatusName(status));
}

}  // namespace cuda

namespace {

using cuda::check;

__global__ void probe_kernel() {}

class CudaContext final : public Context {
 public:
  explicit CudaContext(int index) : index_(index) {
    check(cudaSetDevice(index), "choosing the GPU");
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, index), "properties of the GPU");
    model_ = properties.name;
    refuse_unsupported(properties);
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating the stream");
    check(cublasCreate(&cublas_), "starting cuBLAS");
    check(cublasSetStream(cublas_, stream_), "starting cuBLAS");
    check(cublasSetMathMode(cublas_, CUBLAS_DEFAULT_MATH), "starting cuBLAS");   // each product names its own precision
    check(cudaDeviceGetDefaultMemPool(&pool_, index), "the memory pool");
    uint64_t keep_all = ~uint64_t(0);                        // released blocks stay for reuse instead of going back at every synchronisation
    check(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep_all), "the memory pool");
  }

  Device device() const override { return Device::cuda; }
  std::string name() const override { return fmt::format("cuda:{} ({})", index_, model_); }
  cudaStream_t stream() const {
    check(cudaSetDevice(index_), "choosing the GPU");
    return stream_;
  }
  cublasHandle_t cublas() const {
    check(cudaSetDevice(index_), "choosing the GPU");
    return cublas_;
  }
  void set_precision(Precision precision) { precision_ = precision; }
  Precision precision() const { return precision_; }
  void synchronize() override { check(cudaStreamSynchronize(stream()), "waiting for the GPU"); }

  Memory memory() const override {
    uint64_t reserved = 0, used = 0;
    check(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrReservedMemCurrent, &reserved), "the memory pool");
    check(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrUsedMemCurrent, &used), "the memory pool");
    return {live_.load(), peak_.load(), int64_t(reserved - used)};
  }
  void reset_peak() override { peak_ = live_.load(); }

  void* allocate(int64_t bytes) override {
    if (bytes == 0) return this;                             // not null: an empty tensor is no placeholder
    void* p = nullptr;
    cudaError_t status = cudaMallocAsync(&p, size_t(bytes), stream());
    if (status == cudaErrorMemoryAllocation) {               // blocks of other sizes may fill the pool: give them back and try once more
      cudaGetLastError();
      synchronize();
      check(cudaMemPoolTrimTo(pool_, 0), "the memory pool");
      status = cudaMallocAsync(&p, size_t(bytes), stream_);
    }
    if (status == cudaErrorMemoryAllocation) refuse_memory(bytes);
    check(status, "memory for a tensor");
    const int64_t live = live_ += bytes;
    for (int64_t peak = peak_; peak < live && !peak_.compare_exchange_weak(peak, live);) {}
    return p;
  }
  void release(void* p, int64_t bytes) noexcept override {
    if (bytes == 0) return;
    cudaFreeAsync(p, stream_);                               // an error here is an earlier one: the next checked call reports it
    live_ -= bytes;
  }
  void zero(void* p, int64_t bytes) override {
    if (bytes > 0) check(cudaMemsetAsync(p, 0, size_t(bytes), stream()), "zeroing a tensor");
  }
  void copy_from_host(void* to, const void* from, int64_t bytes) override { staging_.copy(to, from, bytes, stream()); }
  /// Waits: the values are read as soon as it returns.
  void copy_to_host(void* to, const void* from, int64_t bytes) override { copy(to, from, bytes, cudaMemcpyDeviceToHost), synchronize(); }
  void copy_within(void* to, const void* from, int64_t bytes) override { copy(to, from, bytes, cudaMemcpyDeviceToDevice); }

 private:
  void copy(void* to, const void* from, int64_t bytes, cudaMemcpyKind kind) {
    if (bytes > 0) check(cudaMemcpyAsync(to, from, size_t(bytes), kind, stream()), "copying a tensor");
  }
  void refuse_unsupported(const cudaDeviceProp& properties) const {
    cudaFuncAttributes attributes;
    const cudaError_t status = cudaFuncGetAttributes(&attributes, probe_kernel);
    if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorUnsupportedPtxVersion)
      fail(Exit::device, "cuda:{}: {} has compute capability {}.{}, this build was made for {}; add {}{} to -Dgpu_arch and build again", index_, model_,
           properties.major, properties.minor, ALINEA_GPU_ARCH, properties.major, properties.minor);
    check(status, "reading this build's kernels");
    require_pool(properties.memoryPoolsSupported != 0);
  }
  void require_pool(bool supported) const {
    if (!supported) fail(Exit::device, "cuda:{}: {} or its driver has no stream-ordered memory pool (cudaMallocAsync); use --device cpu", index_, model_);
  }
  [[noreturn]] void refuse_memory(int64_t bytes) const {
    cudaGetLastError();
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    fail(Exit::device, "cuda:{}: out of memory: {} bytes asked for, {} are held by tensors, {} of {} bytes are free; lower the batch size", index_, bytes,
         live_.load(), free, total);
  }

  int index_;
  std::string model_;
  cudaStream_t stream_ = nullptr;
  cublasHandle_t cublas_ = nullptr;
  cudaMemPool_t pool_ = nullptr;
  cuda::Staging staging_;
  std::atomic<Precision> precision_ = Precision::fp32;       // of f32 products
  std::atomic<int64_t> live_ = 0, peak_ = 0;
};

std::string version(int v) { return fmt::format("{}.{}", v / 1000, v % 1000 / 10); }

// How many GPUs there are, or why none can be used.
int count_or_fail() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return count;
  cudaGetLastError();
  int driver = 0, needed = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&needed);
  if (driver == 0) fail(Exit::device, "cuda: no NVIDIA driver was found; install it until nvidia-smi lists a GPU, or use --device cpu");
  if (status == cudaErrorInsufficientDriver)
    fail(Exit::device, "cuda: the driver supports CUDA {}, this build needs {}; update the driver or build with an older toolkit", version(driver), version(needed));
  if (status == cudaSuccess || status == cudaErrorNoDevice)
    fail(Exit::device, "cuda: the driver is there but shows no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu");
  check(status, "counting GPUs");
  return 0;
}

template <class C>
auto& cuda_context(C& context, std::string_view place) {
  if (context.device() != Device::cuda) fail(Exit::device, "{}: expected a tensor on a GPU, found one on {}; move it with to(context)", place, context.name());
  return static_cast<std::conditional_t<std::is_const_v<C>, const CudaContext, CudaContext>&>(context);
}

}  // namespace

cudaStream_t cuda::stream_of(Context& context) { return cuda_context(context, "cuda kernel").stream(); }

cublasHandle_t cuda::cublas_of(Context& context) { return cuda_context(context, "cuBLAS").cublas(); }

void cuda::set_precision(Context& context, Precision precision) { cuda_context(context, "cuBLAS").set_precision(precision); }

Precision cuda::precision_of(const Context& context) { return cuda_context(context, "cuBLAS").precision(); }

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();                                        // no driver: not an error here
  return 0;
}

Context& Context::cuda(int index) {
  static std::mutex mutex;
  static auto* contexts = new std::map<int, std::unique_ptr<CudaContext>>;   // never destroyed: tensors with static lifetime may outlive main()
  const int count = count_or_fail();
  if (index < 0 || index >= count) fail(Exit::device, "cuda:{}: there {} {} GPU{}; use cuda:0 … cuda:{}", index, count == 1 ? "is" : "are", count, count == 1 ? "" : "s", count - 1);
  std::lock_guard lock(mutex);
  auto& context = (*contexts)[index];
  if (!context) context = std::make_unique<CudaContext>(index);
  return *context;
}

}  // namespace alinea
