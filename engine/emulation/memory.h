// The memory of the emulated GPU: one range of addresses that the host cannot touch except while a kernel, a copy or a product runs, as on a
// machine with a GPU. New memory is full of 0xFF (NaN, -1), every piece lies between two guards.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace alinea::emulation {

inline constexpr size_t device_bytes = size_t(16) << 30;     // addresses; pages are taken when touched

/// While one lives, device memory can be read and written.
class Access {
 public:
  Access();
  ~Access();
  Access(const Access&) = delete;
};

void* allocate(size_t bytes);                                // nullptr when no piece is large enough
void release(void* p);
size_t bytes_used();
size_t bytes_reserved();                                     // the largest sum so far
/// Empty, or which piece of memory something was written beside.
std::string damaged_guard();

}  // namespace alinea::emulation
