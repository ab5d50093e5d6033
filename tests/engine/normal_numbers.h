// Numbers for tests of plain arrays.
#pragma once
#include <vector>

#include "engine/core/random.h"

namespace alinea {

/// n draws of N(0, 1).
template <class T>
std::vector<T> normal(int64_t n, uint64_t seed) {
  Draw draw(RandomKey{seed});
  std::vector<T> v(static_cast<size_t>(n));
  for (T& x : v) x = T(draw.normal());
  return v;
}

}  // namespace alinea
