// The memory of the emulated GPU: one range of addresses that the host cannot touch except while a kernel, a copy or a product runs, as on a
// machine with a GPU. New memory is full of 0xFF (NaN, -1), every piece lies between two guards.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace alinea::emulation {

inline constexpr size_t device_bytes = size_t(16) << 30;     // addresses; pages are taken when touched

/// While one lives, device memory can be read and written. What was put off is done first.
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

/// Memory of the host that copies to the device may be put off from.
void* allocate_pinned(size_t bytes);
/// A copy to the device. From pinned memory it takes place as late as it may, when device memory is next used or its event waited for: whoever
/// writes to the source too early sees it.
void copy_in(void* to, const void* from, size_t bytes);
/// Copies put off so far, done and not done; and doing them up to such a number, which says whether there was one to do.
int64_t copies_put_off();
bool finish_copies(int64_t number);

/// Empty, or which piece of memory something was written beside.
std::string damaged_guard();

}  // namespace alinea::emulation
