#include <limits>

#include "engine/core/denormals.h"
#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/ops/beta_rows.h"
#include "engine/ops/cuda_monotonic.h"
#include "engine/ops/monotonic.h"
#include "engine/ops/scan.h"

namespace alinea {

namespace {

// Columns begin … end-1 whose exponents are taken from one maximum. Inside, sums of e^{u - top} over a prefix are at least e^{-reach}:
// neither they nor their reciprocals leave the range of a float.
template <class T>
struct Segment {
  int64_t begin, end;
  T top;
};
constexpr double reach = 40;

template <class T>
constexpr T lowest = std::numeric_limits<T>::lowest();      // stands for -inf, so that a row of masked columns stays finite

// Buffers of one thread. Full vectors are stored, so each has room for one more than a row.
template <class T>
struct Work {
  std::vector<Segment<T>> segments;
  std::vector<T> wide, e, x, y, z, h;
  explicit Work(int64_t S) : segments(size_t(S)) {
    for (auto* v : {&wide, &e, &x, &y, &z, &h}) v->resize(size_t(S + lanes<T>));
  }
};

// Cuts a row where a column exceeds the first of its segment by more than `reach`; nearly always there is one segment.
template <class T>
ALINEA_INLINE int64_t cut(const T* u, int64_t n, Segment<T>* out) {
  Vec<T> most[4] = {splat(lowest<T>), splat(lowest<T>), splat(lowest<T>), splat(lowest<T>)};   // four chains: one waits for itself
  int64_t at = 0;
  for (; at + 4 * lanes<T> <= n; at += 4 * lanes<T>)
    for (int64_t k = 0; k < 4; ++k) most[k] = max(most[k], load(u + at + k * lanes<T>));
  for (; at < n; at += lanes<T>) most[0] = max(most[0], load_some(u + at, n - at, lowest<T>));
  const T top = max_of(max(max(most[0], most[1]), max(most[2], most[3]))), first = std::max(lowest<T>, u[0]);
  if (top - first <= T(reach)) {
    out[0] = {0, n, top};
    return 1;
  }
  int64_t count = 0;
  T base = first;
  out[0] = {0, n, first};
  for (int64_t j = 1; j < n; ++j) {
    if (u[j] - base > T(reach)) {
      out[count].end = j;
      out[++count] = {j, n, base = u[j]};
    } else if (u[j] > out[count].top) {
      out[count].top = u[j];
    }
  }
  return count + 1;
}

template <class T>
ALINEA_INLINE Vec<T> energies(const T* u, T top, Whole) { return exp_nonpositive(max(splat(lowest<T>), load(u)) - top); }
template <class T>
ALINEA_INLINE Vec<T> energies(const T* u, T top, Part part) {
  return exp_nonpositive(max(splat(lowest<T>), load_some(u, part.n, lowest<T>)) - top);
}

// What sums in units of e^{from} are in units of e^{to}, from ≤ to.
template <class T>
ALINEA_INLINE Vec<T> rescale(T from, T to) { return exp_nonpositive(splat(from) - to); }

// x_k = α_k / Z_k and e_k from the left, β_j = e_j Σ_{k≥j} x_k from the right.
template <class T>
ALINEA_INLINE void forward_row(const T* alpha, const T* u, T* beta, int64_t n, Segment<T>* segment, T* e, T* x) {
  const int64_t count = cut(u, n, segment);
  Vec<T> carry{};
  for (int64_t k = 0; k < count; ++k) {
    const T top = segment[k].top;
    if (k > 0) carry = carry * rescale(segment[k - 1].top, top);
    from_left<T>(segment[k].begin, segment[k].end, [&](int64_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> ej = energies(u + j, top, part), sums = prefix_sum(ej), z = sums + carry;
      carry = carry + spread_last(sums);
      store(e + j, ej);
      store(x + j, Vec<T>(load(alpha + j, part) / z));
    });
  }
  carry = Vec<T>{};
  for (int64_t k = count - 1; k >= 0; --k) {
    if (k < count - 1) carry = carry * rescale(segment[k].top, segment[k + 1].top);
    from_right<T>(segment[k].begin, segment[k].end, [&](int64_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> sums = suffix_sum(load(x + j, part));
      store(beta + j, Vec<T>(load(e + j) * (sums + carry)), part);
      carry = carry + spread_first(sums);
    });
  }
}

// From the left e, Z, x = α/Z, H and y = w (D - H before); from the right R, x' = y R and du. du may be g itself, or none.
template <class T>
ALINEA_INLINE void backward_row(const T* alpha, const T* u, const T* g, T* du, int64_t n, Work<T>& work) {
  Segment<T>* segment = work.segments.data();
  T *e = work.e.data(), *x = work.x.data(), *y = work.y.data(), *z = work.z.data(), *h = work.h.data();
  const int64_t count = cut(u, n, segment);
  Vec<T> z_carry{}, sum{}, z_before{}, h_before{};          // sums so far; Z and H of the vector before
  for (int64_t k = 0; k < count; ++k) {
    const T top = segment[k].top;
    if (k > 0) {
      const Vec<T> scale = rescale(segment[k - 1].top, top);
      z_before = z_carry = z_carry * scale, sum = sum * scale;
      h_before = splat(h[segment[k].begin - 1]);
    }
    from_left<T>(segment[k].begin, segment[k].end, [&](int64_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> d = load(g + j, part), ej = energies(u + j, top, part);
      const Vec<T> z_sums = prefix_sum(ej), zj = z_sums + z_carry, inverse = T(1) / zj;
      const Vec<T> sums = prefix_sum(Vec<T>(ej * d)), hj = (sums + sum) * inverse;
      store(h + j, hj);
      store(e + j, ej);
      store(x + j, Vec<T>(load(alpha + j, part) * inverse));
      store(y + j, Vec<T>(ej * inverse * (d - shift_up<1>(hj, h_before))));
      store(z + j, shift_up<1>(zj, z_before));
      z_carry = z_carry + spread_last(z_sums), sum = sum + spread_last(sums);
      z_before = zj, h_before = hj;
    });
  }
  if (!du) return;
  Vec<T> r_carry{}, after{};                                // R, and Σ x' over the columns to the right
  for (int64_t k = count - 1; k >= 0; --k) {
    if (k < count - 1) {
      const Vec<T> scale = rescale(segment[k].top, segment[k + 1].top);
      r_carry = r_carry * scale, after = after * scale;
    }
    from_right<T>(segment[k].begin, segment[k].end, [&](int64_t j, auto part) __attribute__((always_inline)) {
      const Vec<T> r_sums = suffix_sum(load(x + j, part)), xj = load(y + j, part) * (r_sums + r_carry);
      const Vec<T> sums = suffix_sum(xj), later = sums + after;                  // Σ_{l≥k} x'; shifted, Σ_{l>k}
      store(du + j, Vec<T>(load(z + j) * xj - load(e + j) * shift_down<1>(later, after)), part);
      r_carry = r_carry + spread_first(r_sums), after = after + spread_first(sums);
    });
  }
}

template <class T>
ALINEA_KERNEL void forward_rows(const BetaSizes& s, const T* alpha, const T* u, T* beta, int64_t first, int64_t last, Work<T>& work) {
  for (int64_t row = first; row < last; ++row) {
    const int64_t item = row / s.T, n = s.length(item);
    for (int64_t h = 0; h < s.H; ++h) {
      const T* a = s.spread(alpha + s.alpha_at(row, h), item, work.wide.data());
      T* to = beta + s.u_at(row, h);
      forward_row(a, u + s.u_at(row, h), to, n, work.segments.data(), work.e.data(), work.x.data());
      for (int64_t j = n; j < s.S; ++j) to[j] = 0;
    }
  }
}

template <class T>
ALINEA_KERNEL void backward_rows(const BetaSizes& s, const T* alpha, const T* u, const T* g, T* d_alpha, T* du, int64_t first, int64_t last, Work<T>& work) {
  for (int64_t row = first; row < last; ++row) {
    const int64_t item = row / s.T, n = s.length(item);
    for (int64_t h = 0; h < s.H; ++h) {
      const int64_t at = s.u_at(row, h);
      const T* a = s.spread(alpha + s.alpha_at(row, h), item, work.wide.data());
      backward_row(a, u + at, g + at, du ? du + at : nullptr, n, work);
      if (d_alpha) s.gather(work.h.data(), item, d_alpha + s.alpha_at(row, h), s.heads == 1 && h > 0);
      if (du)
        for (int64_t j = n; j < s.S; ++j) du[at + j] = 0;
    }
  }
}

}  // namespace

Tensor LookbackBeta::forward(const Tensor& alpha, const Tensor& u, Saved* kept) const {
  const BetaSizes s("lookback_beta", alpha, u, source_lengths, ratio);
  const Tensor beta = u.context().empty(u.shape(), u.dtype());
  auto on_cpu = [&] {
    with_float(u.dtype(), "lookback_beta", [&]<class T>() {
      parallel_for(s.B * s.T, s.grain(), [&](int64_t begin, int64_t end) {
        const FlushDenormals flush;
        Work<T> work(s.S);
        forward_rows<T>(s, alpha.data<T>(), u.data<T>(), beta.data<T>(), begin, end, work);
      });
    });
  };
  on_device(u, on_cpu, [&] { cuda::lookback_beta(*this, alpha, u, beta); });
  if (kept) kept->alpha = alpha, kept->u = u;
  return beta;
}

Grads<2> LookbackBeta::backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const {
  g = g.compact();
  const BetaSizes s("lookback_beta", kept.alpha, kept.u, source_lengths, ratio);
  Context& context = g.context();
  Grads<2> d;
  if (need[0]) d[0] = context.empty(kept.alpha.shape(), g.dtype());
  if (need[1]) d[1] = g.sole_owner() ? g : context.empty(g.shape(), g.dtype());
  auto on_cpu = [&] {
    with_float(g.dtype(), "lookback_beta", [&]<class T>() {
      parallel_for(s.B * s.T, s.grain(), [&](int64_t begin, int64_t end) {
        const FlushDenormals flush;
        Work<T> work(s.S);
        backward_rows<T>(s, kept.alpha.data<T>(), kept.u.data<T>(), g.data<T>(), d[0] ? d[0].data<T>() : nullptr, d[1] ? d[1].data<T>() : nullptr, begin,
                         end, work);
      });
    });
  };
  on_device(g, on_cpu, [&] { cuda::lookback_beta_backward(*this, kept, g, d); });
  return d;
}

}  // namespace alinea
