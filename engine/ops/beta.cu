// Attention weights from an alignment. Infinite lookback: a block per row, whose running sums carry their own exponent, so that no prefix underflows
// however far the energies rise. A chunk's windows are short: one thread sums each.
#include "engine/core/cuda_scan.cuh"
#include "engine/core/cuda_upload.cuh"
#include "engine/ops/cuda_monotonic.h"

namespace alinea::cuda {

namespace {

constexpr int threads = 128, own = 4, columns_at_once = threads * own;

// alpha [B, heads, T, C] and u [B, H, T, S]; a row is one of [B, H, T].
struct Sizes {
  int64_t B, H, T, S, heads, C, ratio, width;
  const int32_t* lengths;

  __device__ int64_t length(int64_t row) const { return lengths ? lengths[row / (H * T)] : S; }
  __device__ int64_t alpha_at(int64_t row) const { return ((row / (H * T) * heads + (heads == 1 ? 0 : row / T % H)) * T + row % T) * C; }
  // Source column where pooled column c of n source columns ends.
  __device__ int64_t end_of(int64_t c, int64_t n) const { return (ratio * (c + 1) < n ? ratio * (c + 1) : n) - 1; }
  // α on the source axis: each value at the end of its window.
  template <class V>
  __device__ V alpha(const V* a, int64_t j, int64_t n) const {
    return end_of(j / ratio, n) == j ? a[j / ratio] : V(0);
  }
};

// Masked energies stay finite, so that differences do.
template <class V>
__device__ V energy(const V* u, int64_t j) {
  const V least = std::numeric_limits<V>::lowest() / 8;
  return u[j] > least ? u[j] : least;
}

// Running sums over n columns of one row, from the left, or from the right when `reversed`: f(j) is what column j adds, then g(j, sum before,
// sum with it).
template <bool reversed, class V, class F, class G>
__device__ void over_columns(int64_t n, F f, G g) {
  Scaled<V> carry = Scaled<V>::nothing();
  for (int64_t first = 0; first < n; first += columns_at_once) {
    const int64_t begin = first + int64_t(threadIdx.x) * own;
    Scaled<V> mine[own], total;
    for (int e = 0; e < own; ++e) {
      const int64_t j = reversed ? n - 1 - begin - e : begin + e;
      const Scaled<V> here = begin + e < n ? f(j) : Scaled<V>::nothing();
      mine[e] = e > 0 ? mine[e - 1] + here : here;
    }
    const Scaled<V> before = carry + sum_before(mine[own - 1], total);
    for (int e = 0; e < own; ++e)
      if (begin + e < n) g(reversed ? n - 1 - begin - e : begin + e, e > 0 ? before + mine[e - 1] : before, before + mine[e]);
    carry = carry + total;
  }
}

// Z_k = e^scale · sum of every column, kept between the two directions: two numbers per column.
template <class V>
__global__ void lookback_kernel(Sizes s, const V* alpha, const V* u, V* kept, V* beta) {
  const int64_t row = blockIdx.x, n = s.length(row);
  alpha += s.alpha_at(row), u += row * s.S, beta += row * s.S;
  V *const scale = kept + row * 2 * s.S, *const x = scale + s.S;
  over_columns<false, V>(
      n, [&](int64_t j) { return Scaled<V>{energy(u, j), 1, 0}; },
      [&](int64_t j, const Scaled<V>&, const Scaled<V>& z) { scale[j] = z.scale, x[j] = s.alpha(alpha, j, n) / z.a; });
  __syncthreads();
  over_columns<true, V>(
      n, [&](int64_t j) { return Scaled<V>{-scale[j], x[j], 0}; },
      [&](int64_t j, const Scaled<V>&, const Scaled<V>& later) { beta[j] = std::exp(energy(u, j) + later.scale) * later.a; });
  for (int64_t j = n + threadIdx.x; j < s.S; j += threads) beta[j] = 0;
}

// Z_k = e^scale · sum, H_k = Σ e^u D / Z; `kept` holds scale, sum and H of every column. d_alpha [B, H, T, C] is of each head alone.
template <class V>
__device__ void lookback_averages(const Sizes& s, int64_t n, const V* u, const V* g, V* scale, V* sum, V* h, V* d_alpha) {
  over_columns<false, V>(
      n, [&](int64_t j) { return Scaled<V>{energy(u, j), 1, g[j]}; },
      [&](int64_t j, const Scaled<V>&, const Scaled<V>& z) { scale[j] = z.scale, sum[j] = z.a, h[j] = z.b / z.a; });
  __syncthreads();
  if (!d_alpha) return;
  for (int64_t c = threadIdx.x; c < s.C; c += threads) d_alpha[c] = s.ratio * c < n ? h[s.end_of(c, n)] : V(0);
}

// R_k = Σ_{l≥k} α_l / Z_l, then x_k = w_k R_k (D_k - H_{k-1}), and du_k = Z_{k-1} x_k - e^{u_k} Σ_{l>k} x_l. du may be g.
template <class V>
__global__ void lookback_backward_kernel(Sizes s, const V* alpha, const V* u, const V* g, V* kept, V* d_alpha, V* du) {
  const int64_t row = blockIdx.x, n = s.length(row);
  alpha += s.alpha_at(row), u += row * s.S, g += row * s.S;
  V *const scale = kept + row * 4 * s.S, *const sum = scale + s.S, *const h = sum + s.S, *const x = h + s.S;
  lookback_averages(s, n, u, g, scale, sum, h, d_alpha ? d_alpha + row * s.C : nullptr);
  if (!du) return;
  du += row * s.S;
  over_columns<true, V>(
      n, [&](int64_t j) { return Scaled<V>{-scale[j], s.alpha(alpha, j, n) / sum[j], 0}; },
      [&](int64_t j, const Scaled<V>&, const Scaled<V>& r) {  // r.scale is -scale[j], the largest so far
        x[j] = std::exp(energy(u, j) - scale[j]) / sum[j] * r.a * (g[j] - (j > 0 ? h[j - 1] : V(0)));
      });
  __syncthreads();
  over_columns<true, V>(
      n, [&](int64_t j) { return Scaled<V>{-scale[j], x[j], 0}; },
      [&](int64_t j, const Scaled<V>& later, const Scaled<V>&) {
        const V before = j > 0 ? std::exp(scale[j - 1] - scale[j]) * sum[j - 1] : V(0);
        du[j] = before * x[j] - (j + 1 < n ? std::exp(energy(u, j) + later.scale) * later.a : V(0));
      });
  for (int64_t j = n + threadIdx.x; j < s.S; j += threads) du[j] = 0;
}

// What a window of `width` columns that ends at k has: its largest energy, x = α / Z, and H, the softmax average of D when there is one.
template <class V>
struct Windows {
  V *top, *x, *h;
};

template <class V>
void chunk_windows(Context& context, const Sizes& s, const V* alpha, const V* u, const V* g, const Windows<V>& w) {
  each(context, s.B * s.H * s.T * s.S, "chunk_beta", [=] __device__(int64_t i) {
    const int64_t row = i / s.S, k = i % s.S, n = s.length(row), first = k + 1 > s.width ? k + 1 - s.width : 0;
    if (k >= n) return;
    const V* e = u + row * s.S;
    V top = energy(e, first), z = 0, sum = 0;
    for (int64_t l = first + 1; l <= k; ++l) top = energy(e, l) > top ? energy(e, l) : top;
    for (int64_t l = first; l <= k; ++l) {
      const V f = std::exp(energy(e, l) - top);
      z += f;
      if (g) sum += f * g[row * s.S + l];
    }
    w.top[i] = top, w.x[i] = s.alpha(alpha + s.alpha_at(row), k, n) / z;
    if (g) w.h[i] = sum / z;
  });
}

// β_j = Σ_k x_k e^{u_j - top_k}, or with g the gradient Σ_k x_k e^{u_j - top_k} (D_j - H_k), over the windows that hold j. out may be g.
template <class V>
void chunk_sums(Context& context, const Sizes& s, const V* u, const V* g, const Windows<V>& w, V* out) {
  each(context, s.B * s.H * s.T * s.S, "chunk_beta", [=] __device__(int64_t i) {
    const int64_t row = i / s.S, j = i % s.S, n = s.length(row), end = n - j < s.width ? n : j + s.width, at = row * s.S;
    V sum = 0;
    for (int64_t k = j; k < end; ++k) sum += w.x[at + k] * std::exp(energy(u + at, j) - w.top[at + k]) * (g ? g[i] - w.h[at + k] : V(1));
    out[i] = sum;
  });
}

// d_alpha [B, H, T, C] of each head alone.
template <class V>
void chunk_alpha_gradient(Context& context, const Sizes& s, const V* h, V* d_alpha) {
  each(context, s.B * s.H * s.T * s.C, "chunk_beta", [=] __device__(int64_t i) {
    const int64_t row = i / s.C, c = i % s.C, n = s.length(row);
    d_alpha[i] = s.ratio * c < n ? h[row * s.S + s.end_of(c, n)] : V(0);
  });
}

// Heads that share α: their gradients in order of the heads.
template <class V>
void add_heads(Context& context, const Sizes& s, const V* per_head, V* sum) {
  const int64_t step = s.T * s.C, H = s.H;
  each(context, s.B * step, "beta", [=] __device__(int64_t i) {
    V total = 0;
    for (int64_t h = 0; h < H; ++h) total += per_head[(i / step * H + h) * step + i % step];
    sum[i] = total;
  });
}

Sizes sizes_of(const Tensor& alpha, const Tensor& u, int64_t ratio, int64_t width, const Tensor& lengths) {
  return {u.size(0), u.size(1), u.size(2), u.size(3), alpha.size(1), alpha.size(3), ratio, width, lengths ? lengths.data<int32_t>() : nullptr};
}
Tensor on_gpu(const std::vector<int32_t>& lengths, Context& context) { return lengths.empty() ? Tensor() : upload(context, lengths); }
Tensor columns_like(const Tensor& u, int64_t numbers) { return u.context().empty(Shape{numbers, u.count()}, u.dtype()); }

// f(room for each head's own gradient of α, or none), then their sum in d_alpha where heads share α.
template <class V, class F>
void with_alpha_gradient(const Sizes& s, const Tensor& d_alpha, F f) {
  if (!d_alpha) return f(static_cast<V*>(nullptr));
  if (s.heads == s.H) return f(d_alpha.data<V>());
  const Tensor per_head = d_alpha.context().empty(Shape{s.B, s.H, s.T, s.C}, d_alpha.dtype());
  f(per_head.data<V>());
  add_heads(d_alpha.context(), s, per_head.data<V>(), d_alpha.data<V>());
}

}  // namespace

void lookback_beta(const LookbackBeta& op, const Tensor& alpha, const Tensor& u, const Tensor& beta) {
  const Tensor lengths = on_gpu(op.source_lengths, u.context()), kept = columns_like(u, 2);
  const Sizes s = sizes_of(alpha, u, op.ratio, 0, lengths);
  with_float(u.dtype(), "lookback_beta", [&]<class V>() {
    launch(u.context(), "lookback_beta", s.B * s.H * s.T, threads, 0, lookback_kernel<V>, s, alpha.data<V>(), u.data<V>(), kept.data<V>(), beta.data<V>());
  });
}

void lookback_beta_backward(const LookbackBeta& op, const LookbackBeta::Saved& kept, const Tensor& g, const Grads<2>& d) {
  const Tensor lengths = on_gpu(op.source_lengths, g.context()), room = columns_like(g, 4);
  const Sizes s = sizes_of(kept.alpha, kept.u, op.ratio, 0, lengths);
  with_float(g.dtype(), "lookback_beta", [&]<class V>() {
    with_alpha_gradient<V>(s, d[0], [&](V* d_alpha) {
      launch(g.context(), "lookback_beta backward", s.B * s.H * s.T, threads, 0, lookback_backward_kernel<V>, s, kept.alpha.data<V>(), kept.u.data<V>(), g.data<V>(),
             room.data<V>(), d_alpha, d[1] ? d[1].data<V>() : nullptr);
    });
  });
}

void chunk_beta(const ChunkBeta& op, const Tensor& alpha, const Tensor& u, const Tensor& beta) {
  Context& context = u.context();
  const Tensor lengths = on_gpu(op.source_lengths, context), room = columns_like(u, 2);
  const Sizes s = sizes_of(alpha, u, op.ratio, op.width, lengths);
  with_float(u.dtype(), "chunk_beta", [&]<class V>() {
    const Windows<V> w{room.data<V>(), room.data<V>() + u.count(), nullptr};
    chunk_windows<V>(context, s, alpha.data<V>(), u.data<V>(), nullptr, w);
    chunk_sums<V>(context, s, u.data<V>(), nullptr, w, beta.data<V>());
  });
}

void chunk_beta_backward(const ChunkBeta& op, const ChunkBeta::Saved& kept, const Tensor& g, const Grads<2>& d) {
  Context& context = g.context();
  const Tensor lengths = on_gpu(op.source_lengths, context), room = columns_like(g, 3);
  const Sizes s = sizes_of(kept.alpha, kept.u, op.ratio, op.width, lengths);
  with_float(g.dtype(), "chunk_beta", [&]<class V>() {
    V* const at = room.data<V>();
    const Windows<V> w{at, at + g.count(), at + 2 * g.count()};
    chunk_windows<V>(context, s, kept.alpha.data<V>(), kept.u.data<V>(), g.data<V>(), w);
    with_alpha_gradient<V>(s, d[0], [&](V* d_alpha) {
      if (d_alpha) chunk_alpha_gradient<V>(context, s, w.h, d_alpha);
    });
    if (d[1]) chunk_sums<V>(context, s, kept.u.data<V>(), g.data<V>(), w, d[1].data<V>());
  });
}

}  // namespace alinea::cuda
