#include "engine/ops/structured_tile.h"

#include <limits>

#include "engine/ops/row.h"

namespace alinea {

namespace {

template <class T>
ALINEA_INLINE VecMask<T> lanes_from(int64_t first) {
  VecMask<T> v;
  for (int i = 0; i < lanes<T>; ++i) v[i] = decltype(v[0] + 0)(first + i);
  return v;
}

// Lanes at columns j … that lie in begin … end−1.
template <class T>
ALINEA_INLINE VecMask<T> inside(int64_t j, int64_t begin, int64_t end) {
  using Index = std::remove_cvref_t<decltype(VecMask<T>{}[0])>;
  const VecMask<T> at = lanes_from<T>(0) + Index(j);
  return (at >= Index(begin)) & (at < Index(end));
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
    const Vec<T> x = inside<T>(j, begin, end) ? load(s + j) : lowest;
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
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  Vec<T> total{};
  for (int64_t j = from; j < to; j += lanes<T>) {
    const Vec<T> x = load(s + j), e = x == lowest ? Vec<T>{} : exp(x - most);
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

template <class T>
ALINEA_INLINE void slope(T* w, T* s, const T* f, VecMask<T> seen, T log_sum, T delta) {
  Vec<T> p = seen ? exp(load(w) - log_sum) : Vec<T>{}, g = seen ? load(s) : Vec<T>{};
  if (f) g *= load(f);
  store(s, p * (g - delta));
  store(w, f ? p * load(f) : p);
}

template <class T>
ALINEA_KERNEL void slopes_of(const StructuredTile<T>& t, const T* log_sum, const T* delta, T* slopes) {
  for (int64_t r = 0; r < t.rows; ++r) {
    T *w = t.scores + r * t.ld, *s = slopes + r * t.ld;
    const T *f = t.factors ? t.factors + r * t.ld : nullptr, *seen = t.seen + r * t.far;
    const int64_t begin = t.begin[r], end = t.end[r];
    int64_t j = begin < end ? begin / lanes<T> * lanes<T> : 0;
    zeros(w, 0, j);
    zeros(s, 0, j);
    for (; j < end && begin < end; j += lanes<T>) slope<T>(w + j, s + j, f ? f + j : nullptr, inside<T>(j, begin, end), log_sum[r], delta[r]);
    zeros(w, j, t.near);
    zeros(s, j, t.near);
    for (int64_t c = 0; c < t.far; c += lanes<T>) {
      const int64_t x = t.near + c;
      slope<T>(w + x, s + x, f ? f + x : nullptr, load(seen + c) != 0, log_sum[r], delta[r]);
    }
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
