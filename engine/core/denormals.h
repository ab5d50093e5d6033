// Numbers below 1.2e-38 (float) cost some hundred cycles each on x86. Alignment probabilities fade through that range in every row.
#pragma once
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace alinea {

/// While it lives, this thread computes denormal results as 0 and reads denormal inputs as 0 (x86; nothing elsewhere).
class FlushDenormals {
 public:
#if defined(__x86_64__)
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(before_); }
  FlushDenormals(const FlushDenormals&) = delete;

 private:
  unsigned before_;
#else
  FlushDenormals() {}
#endif
};

}  // namespace alinea
