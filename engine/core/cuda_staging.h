// Copies from host memory to a GPU that do not wait: the values are put into memory the GPU reads by itself (pinned), and the caller's may be freed
// or changed at once.
#pragma once
#include <cuda_runtime.h>

#include <array>
#include <cstdint>
#include <mutex>

namespace alinea::cuda {

/// A ring of slots, filled from front to back. A slot is used again when the GPU has read it: an event behind its last copy says so. A copy
/// goes in pieces through as many slots as it needs, so one larger than the whole ring waits for its own first pieces, and for nothing else.
class Staging {
 public:
  static constexpr int64_t slot_bytes = 4 << 20;
  static constexpr size_t slots = 4;

  /// Queues the copy on the stream. Calls from several threads take turns.
  void copy(void* to, const void* from, int64_t bytes, cudaStream_t stream);

 private:
  struct Slot {
    char* memory = nullptr;
    cudaEvent_t read = nullptr;                              // after the last copy out of the slot
  };
  void next_slot(cudaStream_t stream);

  std::array<Slot, slots> slots_;                            // never given back: a context lives as long as the program
  size_t current_ = slots - 1;
  int64_t used_ = slot_bytes;                                // of the current slot; full at first, so that the first copy makes a slot
  std::mutex mutex_;
};

}  // namespace alinea::cuda
