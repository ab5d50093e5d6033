#include "engine/ops/structured_tile.h"

#include <array>
#include <limits>

#include "engine/ops/row.h"

namespace alinea {

namespace {

// 0 … 0 1 … 1 0 … 0: read at the right place, the lanes before or after a bound. Comparing lane numbers with two bounds would be taken
// apart lane by lane by the compiler.
template <class T>
constexpr auto steps = [] {
  std::array<T, 3 * lanes<T>> s{};
  for (int64_t i = lanes<T>; i < 2 * lanes<T>; ++i) s[size_t(i)] = 1;
  return s;
}();

// x in lanes of columns j … that lie in begin … end−1, `other` elsewhere.
template <Vector V, class T = Lane<V>>
ALINEA_INLINE V within(V x, int64_t j, int64_t begin, int64_t end, V other) {
  constexpr int64_t L = lanes<T>;
  const V from = load(steps<T>.data() + L - std::clamp<int64_t>(begin - j, 0, L)), to = load(steps<T>.data() + 2 * L - std::clamp<int64_t>(end - j, 0, L));
  return from * to != 0 ? x : other;
}

template <class T>
ALINEA_INLINE void zeros(T* p, int64_t from, int64_t to) {
  for (int64_t j = from; j < to; j += lanes<T>) store(p + j, Vec<T>{});
}

template <class T>
ALINEA_INLINE void shrink_row(T* sums, int64_t width, T factor) {
  for (int64_t d = 0; d < width; d += lanes<T>) store(sums + d, load(sums + d) * factor);
}

// What is not seen becomes −∞ in a first pass over the row, so that the second needs no masks; returns the maximum.
template <class T>
ALINEA_INLINE T hide(const StructuredTile<T>& t, T* s, int64_t begin, int64_t end, const T* seen) {
  const Vec<T> lowest = splat(-std::numeric_limits<T>::infinity());
  Vec<T> top = lowest;
  for (int64_t j = begin / lanes<T> * lanes<T>; j < end; j += lanes<T>) {
    const Vec<T> x = within(load(s + j), j, begin, end, lowest);
    store(s + j, x);
    top = max(top, x);
  }
  for (int64_t j = 0; j < t.far; j += lanes<T>) {
    const Vec<T> x = load(seen + j) != 0 ? load(s + t.near + j) : lowest;
    store(s + t.near + j, x);
    top = max(top, x);
  }
  return max_of(top);
}

template <class T>
ALINEA_INLINE Vec<T> exponentials(T* s, const T* f, int64_t from, int64_t to, T most) {
  Vec<T> total{};
  for (int64_t j = from; j < to; j += lanes<T>) {
    const Vec<T> e = exp(load(s + j) - most);    // 0 where nothing is seen
    total += e;
    store(s + j, f ? e * load(f + j) : e);
  }
  return total;
}

template <class T>
ALINEA_KERNEL void online(const StructuredTile<T>& t, T* most, T* total, T* sums, int64_t width) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  for (int64_t r = 0; r < t.rows; ++r) {
    T* s = t.scores + r * t.ld;
    const T* f = t.factors ? t.factors + r * t.ld : nullptr;
    int64_t first = t.begin[r] / lanes<T> * lanes<T>, last = (t.end[r] + lanes<T> - 1) / lanes<T> * lanes<T>;
    if (t.begin[r] >= t.end[r]) first = last = 0;
    const T old = most[r], top = hide(t, s, t.begin[r], t.end[r], t.seen + r * t.far), now = top > old || top != top ? top : old;
    zeros(s, 0, first);
    zeros(s, last, t.near);
    if (now != old && total[r] != 0) {
      const T shrink = std::exp(old - now);
      total[r] *= shrink;
      shrink_row(sums + r * width, width, shrink);
    }
    most[r] = now;
    const T base = now == lowest ? T(0) : now;               // nothing seen so far: all exponentials are 0, NaN stays NaN
    total[r] += sum(exponentials(s, f, first, last, base) + exponentials(s, f, t.near, t.near + t.far, base));
  }
}

// x and g are −∞ and 0 where nothing is seen.
template <Vector V, class T = Lane<V>>
ALINEA_INLINE void slope(V x, V g, T* w, T* s, const T* f, T log_sum, T delta) {
  const Vec<T> p = exp(x - log_sum);
  if (f) g *= load(f);
  store(s, p * (g - delta));
  store(w, f ? p * load(f) : p);
}

template <class T>
ALINEA_KERNEL void slopes_of(const StructuredTile<T>& t, const T* log_sum, const T* delta, T* slopes) {
  const Vec<T> lowest = splat(-std::numeric_limits<T>::infinity());
  for (int64_t r = 0; r < t.rows; ++r) {
    T *w = t.scores + r * t.ld, *s = slopes + r * t.ld;
    const T *f = t.factors ? t.factors + r * t.ld : nullptr, *seen = t.seen + r * t.far;
    const int64_t begin = t.begin[r], end = t.end[r];
    int64_t j = begin < end ? begin / lanes<T> * lanes<T> : 0;
    zeros(w, 0, j);
    zeros(s, 0, j);
    for (; j < end && begin < end; j += lanes<T>)
      slope(within(load(w + j), j, begin, end, lowest), within(load(s + j), j, begin, end, Vec<T>{}), w + j, s + j, f ? f + j : nullptr, log_sum[r], delta[r]);
    zeros(w, j, t.near);
    zeros(s, j, t.near);
    for (int64_t c = 0; c < t.far; c += lanes<T>) {
      const int64_t x = t.near + c;
      const Vec<T> here = load(seen + c);
      slope(here != 0 ? load(w + x) : lowest, here != 0 ? load(s + x) : Vec<T>{}, w + x, s + x, f ? f + x : nullptr, log_sum[r], delta[r]);
    }
  }
}

template <class T>
ALINEA_KERNEL void seen_far(const FarColumns& t, T* seen) {
  const auto extent = int32_t(t.extent);
  for (int64_t r = 0; r < t.rows; ++r, seen += t.ld) {
    const auto i = int32_t(t.position[r]), begin = int32_t(t.begin[r]), end = int32_t(t.end[r]), visible = int32_t(t.visible[r]);
    for (int64_t c = 0; c < t.count; ++c) {
      const int32_t j = t.columns[c], distance = i > j ? i - j : j - i;
      seen[c] = T((j < begin || j >= end) & (j < visible) & (distance <= extent));
    }
    for (int64_t c = t.count; c < t.ld; ++c) seen[c] = 0;
  }
}

template <class T>
ALINEA_INLINE void add_to(T* to, const T* from, int64_t n) {
  int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) store(to + i, load(to + i) + load(from + i));
  for (; i < n; ++i) to[i] += from[i];
}
template <class T>
ALINEA_KERNEL void diagonals_in(const DiagonalBias<T>& t, const T* bias, T* scores) {
  for (int64_t r = 0; r < t.rows; ++r) add_to(scores + r * t.ld + t.begin[r], bias + t.at[r] + t.begin[r], t.end[r] - t.begin[r]);
}
template <class T>
ALINEA_KERNEL void diagonals_out(const DiagonalBias<T>& t, const T* slopes, T* bias) {
  for (int64_t r = 0; r < t.rows; ++r) add_to(bias + t.at[r] + t.begin[r], slopes + r * t.ld + t.begin[r], t.end[r] - t.begin[r]);
}

template <class T>
ALINEA_INLINE T product(const T* a, const T* b, int64_t n) {
  return row_sum<T>(n, [&](int64_t i, int64_t rest) { return load_up_to(a + i, rest) * load_up_to(b + i, rest); });
}
template <class T>
ALINEA_INLINE void add_scaled(T* to, T factor, const T* from, int64_t n) {
  int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) store(to + i, load(to + i) + factor * load(from + i));
  for (; i < n; ++i) to[i] += factor * from[i];
}

template <class T>
ALINEA_KERNEL void single_in(const SingleKeys<T>& t, T* most, T* total, T* sums) {
  for (int64_t n = 0; n < t.count; ++n) {
    const T s = t.q ? product(t.q, t.k + t.columns[n] * t.k_step, t.width) : T(0);
    if (s > *most || s != s) {
      if (*total != 0) {
        const T shrink = std::exp(*most - s);
        *total *= shrink;
        for (int64_t d = 0; d < t.width; ++d) sums[d] *= shrink;
      }
      *most = s;
    }
    const T e = std::exp(s - *most);
    *total += e;
    add_scaled(sums, t.factors ? e * t.factors[n] : e, t.v + t.columns[n] * t.v_step, t.width);
  }
}

template <class T>
ALINEA_KERNEL void single_out(const SingleKeys<T>& t, const T* g, T log_sum, T delta, T* dq, T* dk, T* dv, int64_t d_step) {
  for (int64_t n = 0; n < t.count; ++n) {
    const int64_t j = t.columns[n];
    const T factor = t.factors ? t.factors[n] : T(1);
    const T p = std::exp((t.q ? product(t.q, t.k + j * t.k_step, t.width) : T(0)) - log_sum);
    const T ds = p * (product(g, t.v + j * t.v_step, t.width) * factor - delta);
    add_scaled(dv + j * d_step, p * factor, g, t.width);
    if (!t.q) continue;
    add_scaled(dq, ds, t.k + j * t.k_step, t.width);
    add_scaled(dk + j * d_step, ds, t.q, t.width);
  }
}

template <class T>
ALINEA_KERNEL void added(const T* from, int64_t from_step, int64_t rows, int64_t width, T factor, T* to, int64_t to_step) {
  for (int64_t r = 0; r < rows; ++r) add_scaled(to + r * to_step, factor, from + r * from_step, width);
}
template <class T>
ALINEA_KERNEL T dotted(const T* a, const T* b, int64_t width) {
  return product(a, b, width);
}

}  // namespace

template <class T>
void structured_online(const StructuredTile<T>& t, T* most, T* total, T* sums, int64_t width) { online(t, most, total, sums, width); }
template <class T>
void structured_slopes(const StructuredTile<T>& t, const T* log_sum, const T* delta, T* slopes) { slopes_of(t, log_sum, delta, slopes); }
template <class T>
void mark_seen(const FarColumns& t, T* seen) { seen_far(t, seen); }
template <class T>
void add_diagonals(const DiagonalBias<T>& t, const T* bias, T* scores) { diagonals_in(t, bias, scores); }
template <class T>
void sum_diagonals(const DiagonalBias<T>& t, const T* slopes, T* bias) { diagonals_out(t, slopes, bias); }
template <class T>
void single_online(const SingleKeys<T>& t, T* most, T* total, T* sums) { single_in(t, most, total, sums); }
template <class T>
void single_slopes(const SingleKeys<T>& t, const T* g, T log_sum, T delta, T* dq, T* dk, T* dv, int64_t d_step) {
  single_out(t, g, log_sum, delta, dq, dk, dv, d_step);
}
template <class T>
void add_rows(const T* from, int64_t from_step, int64_t rows, int64_t width, T factor, T* to, int64_t to_step) {
  added(from, from_step, rows, width, factor, to, to_step);
}
template <class T>
T dot(const T* a, const T* b, int64_t width) { return dotted(a, b, width); }

template void structured_online(const StructuredTile<float>&, float*, float*, float*, int64_t);
template void structured_online(const StructuredTile<double>&, double*, double*, double*, int64_t);
template void structured_slopes(const StructuredTile<float>&, const float*, const float*, float*);
template void structured_slopes(const StructuredTile<double>&, const double*, const double*, double*);
template void mark_seen(const FarColumns&, float*);
template void mark_seen(const FarColumns&, double*);
template void add_diagonals(const DiagonalBias<float>&, const float*, float*);
template void add_diagonals(const DiagonalBias<double>&, const double*, double*);
template void sum_diagonals(const DiagonalBias<float>&, const float*, float*);
template void sum_diagonals(const DiagonalBias<double>&, const double*, double*);
template void single_online(const SingleKeys<float>&, float*, float*, float*);
template void single_online(const SingleKeys<double>&, double*, double*, double*);
template void single_slopes(const SingleKeys<float>&, const float*, float, float, float*, float*, float*, int64_t);
template void single_slopes(const SingleKeys<double>&, const double*, double, double, double*, double*, double*, int64_t);
template void add_rows(const float*, int64_t, int64_t, int64_t, float, float*, int64_t);
template void add_rows(const double*, int64_t, int64_t, int64_t, double, double*, int64_t);
template float dot(const float*, const float*, int64_t);
template double dot(const double*, const double*, int64_t);

}  // namespace alinea
