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

// Target rows are the lanes: a block of lanes<T> rows lies transposed, [column][lane], and every scan runs down the columns.

// Two sums that share an exponent: e^{scale}·a and e^{scale}·b.
template <class T>
struct alignas(64) Scaled {
  Vec<T> scale, a, b;
};

// A struct, because a bare vector type as template argument loses its alignment in std::vector.
template <class T>
struct alignas(64) Column {
  Vec<T> v;
};

template <class T>
ALINEA_INLINE Scaled<T> add(const Scaled<T>& x, const Scaled<T>& y) {
  const Vec<T> e = exp_nonpositive(-abs(Vec<T>(x.scale - y.scale))), one = splat(T(1));
  const Vec<T> fx = x.scale >= y.scale ? one : e, fy = x.scale >= y.scale ? e : one;
  return {max(x.scale, y.scale), x.a * fx + y.a * fy, x.b * fx + y.b * fy};
}

// items[k] becomes the sum over items[k - width + 1 … k], or items[k … k + width - 1] when reversed. The axis is cut into blocks of `width`:
// a window is the end of one block and the start of the next. `ends` holds the sums to the end of the block before, `next` those of this one.
template <class T>
ALINEA_INLINE void slide(Scaled<T>* items, int64_t n, int64_t width, bool reversed, Scaled<T>* ends, Scaled<T>* next) {
  for (int64_t start = 0; start < n; start += width) {
    const int64_t size = std::min(width, n - start);
    auto at = [&](int64_t k) __attribute__((always_inline)) { return reversed ? n - 1 - start - k : start + k; };
    next[size - 1] = items[at(size - 1)];
    for (int64_t k = size - 2; k >= 0; --k) next[k] = add(items[at(k)], next[k + 1]);
    Scaled<T> sum = items[at(0)];
    for (int64_t k = 0; k < size; ++k) {
      if (k > 0) sum = add(sum, items[at(k)]);
      items[at(k)] = start == 0 || k == width - 1 ? sum : add(ends[k + 1], sum);
    }
    std::swap(ends, next);
  }
}

// Buffers of one thread: [column][lane].
template <class T>
struct Work {
  std::vector<T> wide;
  std::vector<Column<T>> alpha, u, g, h;
  std::vector<Scaled<T>> windows, ends, next;
  Work(int64_t S, int64_t width)
      : wide(size_t(S)), alpha(size_t(S)), u(size_t(S)), g(size_t(S)), h(size_t(S)), windows(size_t(S)), ends(size_t(std::min(width, S))),
        next(size_t(std::min(width, S))) {}
};

// Energies low enough stand for -inf, so that differences stay finite.
template <class T>
constexpr T lowest = std::numeric_limits<T>::lowest() / 8;

template <class T>
ALINEA_INLINE void fill_lanes(Column<T>* to, const T* row, int64_t n, int64_t lane) {
  T* out = reinterpret_cast<T*>(to) + lane;
  for (int64_t j = 0; j < n; ++j) out[j * lanes<T>] = row[j];
}
template <class T>
ALINEA_INLINE void take_lanes(const Column<T>* from, T* row, int64_t n, int64_t lane) {
  const T* in = reinterpret_cast<const T*>(from) + lane;
  for (int64_t j = 0; j < n; ++j) row[j] = in[j * lanes<T>];
}

template <class T>
struct Call {
  const BetaSizes& s;
  int64_t width;
  const T *alpha, *u, *g;
  T *beta, *d_alpha, *du;
};

// α and u of rows first … first+count-1 (one item, one head) into lanes; unused lanes repeat the first row and are never stored.
template <class T>
ALINEA_INLINE void read_block(const Call<T>& c, int64_t first, int64_t count, int64_t h, int64_t n, Work<T>& w) {
  for (int64_t lane = 0; lane < lanes<T>; ++lane) {
    const int64_t row = first + (lane < count ? lane : 0);
    fill_lanes(w.alpha.data(), c.s.spread(c.alpha + c.s.alpha_at(row, h), row / c.s.T, w.wide.data()), n, lane);
    fill_lanes(w.u.data(), c.u + c.s.u_at(row, h), n, lane);
    if (c.g) fill_lanes(w.g.data(), c.g + c.s.u_at(row, h), n, lane);
  }
  for (int64_t j = 0; j < n; ++j) w.u[size_t(j)].v = max(splat(lowest<T>), w.u[size_t(j)].v);
}

template <class T>
ALINEA_INLINE void forward_block(const Call<T>& c, int64_t n, Work<T>& w) {
  Scaled<T>* win = w.windows.data();
  for (int64_t j = 0; j < n; ++j) win[j] = {w.u[size_t(j)].v, splat(T(1)), Vec<T>{}};
  slide(win, n, c.width, false, w.ends.data(), w.next.data());                   // Z_k
  for (int64_t j = 0; j < n; ++j) win[j] = {-win[j].scale, w.alpha[size_t(j)].v / win[j].a, Vec<T>{}};
  slide(win, n, c.width, true, w.ends.data(), w.next.data());                    // Σ_k α_k / Z_k
  for (int64_t j = 0; j < n; ++j) w.h[size_t(j)].v = exp_nonpositive(Vec<T>(w.u[size_t(j)].v + win[j].scale)) * win[j].a;
}

// h becomes dα, g becomes du.
template <class T>
ALINEA_INLINE void backward_block(const Call<T>& c, int64_t n, Work<T>& w) {
  Scaled<T>* win = w.windows.data();
  for (int64_t j = 0; j < n; ++j) win[j] = {w.u[size_t(j)].v, splat(T(1)), w.g[size_t(j)].v};
  slide(win, n, c.width, false, w.ends.data(), w.next.data());                   // Z_k and Σ e^u D
  for (int64_t j = 0; j < n; ++j) {
    const Vec<T> inverse = T(1) / win[j].a, h = win[j].b * inverse, x = w.alpha[size_t(j)].v * inverse;
    w.h[size_t(j)].v = h;
    win[j] = {-win[j].scale, x, x * h};
  }
  slide(win, n, c.width, true, w.ends.data(), w.next.data());                    // Σ α/Z and Σ α H/Z
  for (int64_t j = 0; j < n; ++j)
    w.g[size_t(j)].v = exp_nonpositive(Vec<T>(w.u[size_t(j)].v + win[j].scale)) * (w.g[size_t(j)].v * win[j].a - win[j].b);
}

// Blocks of rows of one item: block = item · per_item + part.
template <class T>
ALINEA_KERNEL void chunk_blocks(const Call<T>& c, int64_t begin, int64_t end, Work<T>& w) {
  const BetaSizes& s = c.s;
  const int64_t per_item = (s.T + lanes<T> - 1) / lanes<T>;
  for (int64_t block = begin; block < end; ++block) {
    const int64_t item = block / per_item, part = block % per_item * lanes<T>, n = s.length(item);
    const int64_t first = item * s.T + part, count = std::min(lanes<T>, s.T - part);
    for (int64_t h = 0; h < s.H; ++h) {
      read_block(c, first, count, h, n, w);
      if (c.beta) forward_block(c, n, w);
      else backward_block(c, n, w);
      for (int64_t lane = 0; lane < count; ++lane) {
        T* out = c.beta ? c.beta : c.du;
        if (out) {
          out += s.u_at(first + lane, h);
          take_lanes(c.beta ? w.h.data() : w.g.data(), out, n, lane);
          for (int64_t j = n; j < s.S; ++j) out[j] = 0;
        }
        if (c.d_alpha) {
          take_lanes(w.h.data(), w.wide.data(), n, lane);
          s.gather(w.wide.data(), item, c.d_alpha + s.alpha_at(first + lane, h), s.heads == 1 && h > 0);
        }
      }
    }
  }
}

template <class T>
void run(const Call<T>& c) {
  const int64_t blocks = c.s.B * ((c.s.T + lanes<T> - 1) / lanes<T>);
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    const FlushDenormals flush;
    Work<T> work(c.s.S, c.width);
    chunk_blocks<T>(c, begin, end, work);
  });
}

}  // namespace

Tensor ChunkBeta::forward(const Tensor& alpha, const Tensor& u, Saved* kept) const {
  require(width >= 1, "chunk_beta: the width is {}; it must be at least 1", width);
  const BetaSizes s("chunk_beta", alpha, u, source_lengths, ratio);
  const Tensor beta = u.context().empty(u.shape(), u.dtype());
  auto on_cpu = [&] {
    with_float(u.dtype(), "chunk_beta", [&]<class T>() {
      run(Call<T>{s, width, alpha.data<T>(), u.data<T>(), nullptr, beta.data<T>(), nullptr, nullptr});
    });
  };
  on_device(u, on_cpu, [&] { cuda::chunk_beta(*this, alpha, u, beta); });
  if (kept) kept->alpha = alpha, kept->u = u;
  return beta;
}

Grads<2> ChunkBeta::backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const {
  g = g.compact();
  const BetaSizes s("chunk_beta", kept.alpha, kept.u, source_lengths, ratio);
  Grads<2> d;
  if (need[0]) d[0] = g.context().empty(kept.alpha.shape(), g.dtype());
  if (need[1]) d[1] = g.sole_owner() ? g : g.context().empty(g.shape(), g.dtype());
  auto on_cpu = [&] {
    with_float(g.dtype(), "chunk_beta", [&]<class T>() {
      run(Call<T>{s, width, kept.alpha.data<T>(), kept.u.data<T>(), g.data<T>(), nullptr, d[0] ? d[0].data<T>() : nullptr,
                  d[1] ? d[1].data<T>() : nullptr});
    });
  };
  on_device(g, on_cpu, [&] { cuda::chunk_beta_backward(*this, kept, g, d); });
  return d;
}

}  // namespace alinea
