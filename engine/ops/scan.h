// Scans along a row inside one vector register: log2(lanes) steps of "shift, combine", so that a recurrence over columns runs on
// consecutive columns of a row-major array. Hillis and Steele, "Data parallel algorithms", CACM 29 (1986).
#pragma once
#include <utility>

#include "engine/core/vec.h"

namespace alinea {

namespace scan_detail {
template <int K, Vector V, size_t... I>
ALINEA_INLINE V window(V low, V high, std::index_sequence<I...>) { return __builtin_shufflevector(low, high, (int(I) + K)...); }
}  // namespace scan_detail

/// Lanes K, K+1, … of the two registers low, high laid end to end.
template <int K, Vector V>
ALINEA_INLINE V window(V low, V high) { return scan_detail::window<K>(low, high, std::make_index_sequence<size_t(lanes<Lane<V>>)>()); }
/// Lane l holds column l - K: the columns before lane 0 come from the end of `before`.
template <int K, Vector V>
ALINEA_INLINE V shift_up(V v, V before) { return window<int(lanes<Lane<V>>) - K>(before, v); }
/// Lane l holds column l + K: the columns after the last lane come from the start of `after`.
template <int K, Vector V>
ALINEA_INLINE V shift_down(V v, V after) { return window<K>(v, after); }

namespace scan_detail {
template <int L, Vector V, size_t... I>
ALINEA_INLINE V spread(V v, std::index_sequence<I...>) { return __builtin_shufflevector(v, v, (int(I) * 0 + L)...); }
}  // namespace scan_detail

/// The first or last lane in all lanes.
template <Vector V>
ALINEA_INLINE V spread_first(V v) { return scan_detail::spread<0>(v, std::make_index_sequence<size_t(lanes<Lane<V>>)>()); }
template <Vector V>
ALINEA_INLINE V spread_last(V v) {
  constexpr int n = int(lanes<Lane<V>>);
  return scan_detail::spread<n - 1>(v, std::make_index_sequence<size_t(n)>());
}

/// Σ of lanes 0 … l, and of lanes l … last.
template <int K = 1, Vector V>
ALINEA_INLINE V prefix_sum(V v) {
  if constexpr (K < lanes<Lane<V>>) return prefix_sum<2 * K>(V(v + shift_up<K>(v, V{})));
  else return v;
}
template <int K = 1, Vector V>
ALINEA_INLINE V suffix_sum(V v) {
  if constexpr (K < lanes<Lane<V>>) return suffix_sum<2 * K>(V(v + shift_down<K>(v, V{})));
  else return v;
}

/// y_l = a_l y_{l-1} + b_l as y_l = a'_l · carry + b'_l, carry = y_{-1}: a', b' replace a, b. (a, b) then (c, d) is (c a, c b + d).
template <int K = 1, Vector V>
ALINEA_INLINE void affine_prefix(V& a, V& b) {
  if constexpr (K < lanes<Lane<V>>) {
    b = b + a * shift_up<K>(b, V{});
    a = a * shift_up<K>(a, splat(Lane<V>(1)));
    affine_prefix<2 * K>(a, b);
  }
}
/// The same from the right: y_l = a_l y_{l+1} + b_l, carry = the y after the last lane.
template <int K = 1, Vector V>
ALINEA_INLINE void affine_suffix(V& a, V& b) {
  if constexpr (K < lanes<Lane<V>>) {
    b = b + a * shift_down<K>(b, V{});
    a = a * shift_down<K>(a, splat(Lane<V>(1)));
    affine_suffix<2 * K>(a, b);
  }
}

/// The n first elements at p (n may exceed the lanes), the other lanes `fill`.
template <class T>
ALINEA_INLINE Vec<T> load_some(const T* p, int64_t n, T fill = 0) { return n >= lanes<T> ? load(p) : load_part(p, n, fill); }
template <Vector V>
ALINEA_INLINE void store_some(Lane<V>* p, V v, int64_t n) {
  if (n >= lanes<Lane<V>>) store(p, v);
  else store_part(p, v, n);
}

/// How much of a vector a loop's step covers: `Whole` costs nothing, `Part` is the end of a row. The type keeps the partial copies, which are
/// calls that spill every register, out of the loop over whole vectors.
struct Whole {};
struct Part {
  int64_t n;
};
template <class T>
ALINEA_INLINE Vec<T> load(const T* p, Whole) { return load(p); }
template <class T>
ALINEA_INLINE Vec<T> load(const T* p, Part part) { return load_some(p, part.n); }
template <Vector V>
ALINEA_INLINE void store(Lane<V>* p, V v, Whole) { store(p, v); }
template <Vector V>
ALINEA_INLINE void store(Lane<V>* p, V v, Part part) { store_some(p, v, part.n); }

/// step(j, Whole or Part) for the vectors of columns begin … end-1, from the left or from the right.
template <class T, class F>
ALINEA_INLINE void from_left(int64_t begin, int64_t end, F&& step) {
  int64_t j = begin;
  for (; j + lanes<T> <= end; j += lanes<T>) step(j, Whole{});
  if (j < end) step(j, Part{end - j});
}
template <class T, class F>
ALINEA_INLINE void from_right(int64_t begin, int64_t end, F&& step) {
  int64_t j = begin + (end - begin) / lanes<T> * lanes<T>;
  if (j < end) step(j, Part{end - j});
  for (j -= lanes<T>; j >= begin; j -= lanes<T>) step(j, Whole{});
}

}  // namespace alinea
