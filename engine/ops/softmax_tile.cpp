#include "engine/ops/softmax_tile.h"

#include <algorithm>
#include <limits>

#include "engine/blas/tile.h"

namespace alinea {

namespace {

template <class T>
ALINEA_INLINE VecMask<T> lane_numbers() {
  VecMask<T> v;
  for (int i = 0; i < lanes<T>; ++i) v[i] = i;
  return v;
}
// Lanes < n keep x, the others take `other`.
template <Vector V, class T = Lane<V>>
ALINEA_INLINE V first_lanes(V x, int64_t n, T other) {
  return lane_numbers<T>() < std::remove_reference_t<decltype(lane_numbers<T>()[0])>(n) ? x : V{} + other;
}

template <class T>
ALINEA_KERNEL void online(const OnlineSoftmax<T>& t) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  for (int64_t r = 0; r < t.rows; ++r) {
    T* s = t.scores + r * t.ld;
    const int64_t n = std::clamp<int64_t>(t.visible[r] - t.first, 0, t.columns), whole = n / lanes<T> * lanes<T>;
    int64_t j = 0;
    if (n > 0) {
      Vec<T> top = Vec<T>{} + lowest;
      for (; j < whole; j += lanes<T>) top = max(top, load(s + j));
      if (j < n) top = max(top, first_lanes(load(s + j), n - j, lowest));
      const T old = t.most[r], now = std::max(old, max_of(top));
      if (now > old && t.total[r] != 0) {
        const T shrink = std::exp(old - now);
        t.total[r] *= shrink;
        T* sums = t.sums + r * t.width;
        for (int64_t d = 0; d < t.width; d += lanes<T>) store(sums + d, load(sums + d) * shrink);
      }
      t.most[r] = now;
      Vec<T> total{};
      const T* f = t.factors ? t.factors + r * t.ld : nullptr;
      for (j = 0; j < n; j += lanes<T>) {
        Vec<T> e = exp_nonpositive(load(s + j) - now);
        if (j + lanes<T> > n) e = first_lanes(e, n - j, T(0));
        total += e;
        store(s + j, f ? e * load(f + j) : e);
      }
      t.total[r] += sum(total);
    }
    for (; j < t.columns; j += lanes<T>) store(s + j, Vec<T>{});
  }
}

template <class T>
ALINEA_KERNEL void slopes_of(const SoftmaxSlopes<T>& t) {
  for (int64_t r = 0; r < t.rows; ++r) {
    T *w = t.weights + r * t.ld, *s = t.slopes + r * t.ld;
    const T* f = t.factors ? t.factors + r * t.ld : nullptr;
    const int64_t n = std::clamp<int64_t>(t.visible[r] - t.first, 0, t.columns);
    const T log_sum = t.log_sum[r], delta = t.delta[r];
    int64_t j = 0;
    for (; j < n; j += lanes<T>) {
      Vec<T> p = exp_nonpositive(load(w + j) - log_sum), g = load(s + j);
      if (j + lanes<T> > n) p = first_lanes(p, n - j, T(0)), g = first_lanes(g, n - j, T(0));
      if (f) g *= load(f + j);
      store(s + j, p * (g - delta));
      store(w + j, f ? p * load(f + j) : p);
    }
    for (; j < t.columns; j += lanes<T>) store(s + j, Vec<T>{}), store(w + j, Vec<T>{});
  }
}

template <bool placed, class T>
ALINEA_INLINE int64_t place_of(const SoftmaxRow<T>& t, int64_t j) {
  if constexpr (placed) return t.places[j];
  return j;
}

// Scores of `lanes` columns at once: one sum per column, then a transpose turns sixteen horizontal sums into sixteen additions.
template <bool placed, class T>
ALINEA_INLINE Vec<T> scores_of(const SoftmaxRow<T>& t, int64_t j) {
  constexpr int64_t L = lanes<T>;
  Vec<T> s[L];
  for (int64_t i = 0; i < L; ++i) {
    const T* k = t.k + place_of<placed>(t, std::min(j + i, t.visible - 1)) * t.k_step;
    Vec<T> acc{};
    int64_t d = 0;
    for (; d + L <= t.width; d += L) acc += load(t.q + d) * load(k + d);
    if (d < t.width) acc += load_part(t.q + d, t.width - d) * load_part(k + d, t.width - d);
    s[i] = acc;
  }
  transpose_square<T>(s);
  Vec<T> total = s[0];
  for (int64_t i = 1; i < L; ++i) total += s[i];
  return total * t.scale;
}

// y = factor · Σ_j scores_j v_j, W vectors of it: v is read once, in order; two chains each hide the latency of the additions.
template <int W, bool placed, class T>
ALINEA_INLINE void weighted_values(const SoftmaxRow<T>& t, int64_t d, T factor) {
  Vec<T> even[W] = {}, odd[W] = {};
  const auto at = [&](int64_t j) __attribute__((always_inline)) { return t.v + place_of<placed>(t, j) * t.v_step + d; };
  int64_t j = 0;
  for (; j + 1 < t.visible; j += 2) {
    const T *one = at(j), *other = at(j + 1);
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) {
      even[w] += t.scores[j] * load(one + w * lanes<T>);
      odd[w] += t.scores[j + 1] * load(other + w * lanes<T>);
    }
  }
#pragma GCC unroll 4
  for (int w = 0; w < W; ++w) {
    if (j < t.visible) even[w] += t.scores[j] * load(at(j) + w * lanes<T>);
    store(t.y + d + w * lanes<T>, (even[w] + odd[w]) * factor);
  }
}

template <bool placed, class T>
ALINEA_KERNEL void one_row(const SoftmaxRow<T>& t) {
  constexpr int64_t L = lanes<T>;
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  const int64_t n = t.visible;
  Vec<T> top = Vec<T>{} + lowest, total{};
  for (int64_t j = 0; j < n; j += L) {
    const Vec<T> s = scores_of<placed>(t, j);
    top = max(top, j + L <= n ? s : first_lanes(s, n - j, lowest));
    store(t.scores + j, s);
  }
  const T most = max_of(top);
  for (int64_t j = 0; j < n; j += L) {
    Vec<T> e = exp_nonpositive(load(t.scores + j) - most);
    if (j + L > n) e = first_lanes(e, n - j, T(0));
    total += e;
    store(t.scores + j, e);
  }
  const T z = sum(total), rcp = n > 0 ? 1 / z : T(0);
  int64_t d = 0;
  for (; d + 4 * L <= t.width; d += 4 * L) weighted_values<4, placed>(t, d, rcp);
  for (; d + L <= t.width; d += L) weighted_values<1, placed>(t, d, rcp);
  if (const int64_t rest = t.width - d; rest > 0) {
    Vec<T> y{};
    for (int64_t j = 0; j < n; ++j) y += t.scores[j] * load_part(t.v + place_of<placed>(t, j) * t.v_step + d, rest);
    store_part(t.y + d, y * rcp, rest);
  }
  if (t.log_sum) *t.log_sum = n > 0 ? most + std::log(z) : T(0);
}

template <class T>
ALINEA_KERNEL void products(const T* a, int64_t a_step, const T* b, int64_t b_step, int64_t rows, int64_t width, T* out) {
  for (int64_t r = 0; r < rows; ++r, a += a_step, b += b_step) {
    Vec<T> s{};
    int64_t d = 0;
    for (; d + lanes<T> <= width; d += lanes<T>) s += load(a + d) * load(b + d);
    T rest = 0;
    for (; d < width; ++d) rest += a[d] * b[d];
    out[r] = sum(s) + rest;
  }
}

// Sixteen Philox blocks side by side: the same numbers as philox(), one counter per lane.
ALINEA_INLINE void philox_lanes(uint64_t first, RandomKey key, uint32_t (&c)[4][16]) {
  for (int i = 0; i < 16; ++i) {
    c[0][i] = uint32_t(first + uint64_t(i)), c[1][i] = uint32_t((first + uint64_t(i)) >> 32);
    c[2][i] = uint32_t(key.path), c[3][i] = uint32_t(key.path >> 32);
  }
  uint32_t k0 = uint32_t(key.seed), k1 = uint32_t(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 16; ++i) {
      const uint64_t a = uint64_t(0xD2511F53u) * c[0][i], b = uint64_t(0xCD9E8D57u) * c[2][i];
      c[0][i] = uint32_t(b >> 32) ^ c[1][i] ^ k0, c[1][i] = uint32_t(b);
      c[2][i] = uint32_t(a >> 32) ^ c[3][i] ^ k1, c[3][i] = uint32_t(a);
    }
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
}

template <class T>
ALINEA_KERNEL void factors_of(const DropoutTile& t, int64_t rows, int64_t columns, T* factors, int64_t ld) {
  const auto threshold = uint32_t(std::min(t.p * 0x1p32, 0x1.fffffffep31));
  const T kept = T(1 / (1 - t.p));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; j += 64) {
      uint32_t c[4][16];
      philox_lanes(uint64_t((t.first_row + r) * t.blocks + (t.first_column + j) / 4), t.key, c);
      T* f = factors + r * ld + j;
      const int64_t n = std::min<int64_t>(64, columns - j);
      for (int64_t i = 0; i < n; ++i) f[i] = c[i % 4][i / 4] < threshold ? T(0) : kept;
    }
}

}  // namespace

template <class T>
void online_softmax(const OnlineSoftmax<T>& t) { online(t); }
template <class T>
void softmax_slopes(const SoftmaxSlopes<T>& t) { slopes_of(t); }
template <class T>
void softmax_row(const SoftmaxRow<T>& t) { t.places ? one_row<true>(t) : one_row<false>(t); }
template <class T>
void row_products(const T* a, int64_t a_step, const T* b, int64_t b_step, int64_t rows, int64_t width, T* out) {
  products(a, a_step, b, b_step, rows, width, out);
}
template <class T>
void fill_factors(const DropoutTile& d, int64_t rows, int64_t columns, T* factors, int64_t ld) { factors_of(d, rows, columns, factors, ld); }

template void online_softmax(const OnlineSoftmax<float>&);
template void online_softmax(const OnlineSoftmax<double>&);
template void softmax_slopes(const SoftmaxSlopes<float>&);
template void softmax_slopes(const SoftmaxSlopes<double>&);
template void softmax_row(const SoftmaxRow<float>&);
template void softmax_row(const SoftmaxRow<double>&);
template void row_products(const float*, int64_t, const float*, int64_t, int64_t, int64_t, float*);
template void row_products(const double*, int64_t, const double*, int64_t, int64_t, int64_t, double*);
template void fill_factors(const DropoutTile&, int64_t, int64_t, float*, int64_t);
template void fill_factors(const DropoutTile&, int64_t, int64_t, double*, int64_t);

}  // namespace alinea
