// Walking a row whose length need not be a multiple of the vector width, inside kernels.
#pragma once
#include "engine/core/parallel.h"
#include "engine/core/vec.h"

namespace alinea {

/// min(n, lanes) elements; the lanes beyond hold `fill`.
template <class T>
ALINEA_INLINE Vec<T> load_up_to(const T* p, int64_t n, T fill = 0) {
  return n >= lanes<T> ? load(p) : load_part(p, n, fill);
}
template <Vector V>
ALINEA_INLINE void store_up_to(Lane<V>* p, V v, int64_t n) {
  if (n >= lanes<Lane<V>>) store(p, v);
  else store_part(p, v, n);
}

/// Sum over a row of f(i, rest): f returns the vector at element i, of which the first `rest` lanes count and the others are 0.
/// Four chains of additions, so that their latency is hidden.
template <class T, class F>
ALINEA_INLINE T row_sum(int64_t n, F&& f) {
  constexpr int64_t L = lanes<T>;
  Vec<T> s[4] = {};
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L)
    for (int64_t k = 0; k < 4; ++k) s[k] += f(i + k * L, L);
  for (; i < n; i += L) s[0] += f(i, n - i);
  return sum((s[0] + s[1]) + (s[2] + s[3]));
}

/// Rows of n elements that make a part worth a thread.
inline int64_t row_grain(int64_t n) { return std::max<int64_t>(1, 32768 / std::max<int64_t>(1, n)); }

}  // namespace alinea
