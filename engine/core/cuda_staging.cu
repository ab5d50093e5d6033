#include "engine/core/cuda_staging.h"

#include <cstring>

#include "engine/core/cuda.cuh"

namespace alinea::cuda {

void Staging::next_slot(cudaStream_t stream) {
  if (slots_[current_].read) check(cudaEventRecord(slots_[current_].read, stream), "staging memory");
  current_ = (current_ + 1) % slots;
  Slot& slot = slots_[current_];
  if (slot.read) {
    check(cudaEventSynchronize(slot.read), "staging memory");
  } else {
    check(cudaHostAlloc(reinterpret_cast<void**>(&slot.memory), size_t(slot_bytes), cudaHostAllocDefault), "pinned memory for copies to the GPU");
    check(cudaEventCreateWithFlags(&slot.read, cudaEventDisableTiming), "staging memory");
  }
  used_ = 0;
}

void Staging::copy(void* to, const void* from, int64_t bytes, cudaStream_t stream) {
  std::lock_guard lock(mutex_);
  for (int64_t done = 0; done < bytes;) {
    if (used_ == slot_bytes) next_slot(stream);
    const int64_t n = std::min(bytes - done, slot_bytes - used_);
    char* place = slots_[current_].memory + used_;
    std::memcpy(place, static_cast<const char*>(from) + done, size_t(n));
    check(cudaMemcpyAsync(static_cast<char*>(to) + done, place, size_t(n), cudaMemcpyHostToDevice, stream), "copying a tensor");
    done += n;
    constexpr int64_t aligned = 64;                          // copies of one or two numbers start at their own cache line
    used_ = std::min(slot_bytes, (used_ + n + aligned - 1) / aligned * aligned);
  }
}

}  // namespace alinea::cuda
