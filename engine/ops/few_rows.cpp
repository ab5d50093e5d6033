#include "engine/ops/few_rows.h"

#include "engine/ops/activate.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

constexpr int64_t outputs_at_once = 4;

/// One product: W is T or bf16.
template <class T, class W>
struct Product {
  const T* x;
  const W* weight;
  const T* bias;
  T* y;
  int64_t rows, in, out;
  Activation activation;
};

template <class T>
ALINEA_INLINE Vec<T> load_wide(const T* p) { return load(p); }
ALINEA_INLINE Vec<float> load_wide(const bf16* p) {           // a bf16 number is the upper half of a float
  typedef uint16_t halves __attribute__((vector_size(32)));
  typedef uint32_t words __attribute__((vector_size(64)));
  halves h;
  std::memcpy(&h, p, sizeof h);
  const words w = __builtin_convertvector(h, words) << 16;
  Vec<float> v;
  std::memcpy(&v, &w, sizeof v);
  return v;
}
template <class T, class W>
ALINEA_INLINE Vec<T> load_wide_part(const W* p, int64_t n) {
  Vec<T> v{};
  for (int64_t i = 0; i < n; ++i) v[i] = T(p[i]);
  return v;
}

// Rows r … r + R - 1 of outputs o … o + N - 1.
template <int R, int N, class T, class W>
ALINEA_INLINE void block(const Product<T, W>& p, int64_t r, int64_t o) {
  constexpr int64_t L = lanes<T>;
  constexpr int64_t ahead = 1024 / int64_t(sizeof(W));       // within a page the processor looks ahead by itself, but late
  const T* x = p.x + r * p.in;
  const W* w = p.weight + o * p.in;
  Vec<T> s[R][N] = {};
  int64_t i = 0;
  for (; i + L <= p.in; i += L) {
    Vec<T> wide[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) {
      wide[n] = load_wide(w + n * p.in + i);
      __builtin_prefetch(w + n * p.in + i + ahead);
    }
#pragma GCC unroll 4
    for (int k = 0; k < R; ++k) {
      const Vec<T> one = load(x + k * p.in + i);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) s[k][n] += one * wide[n];
    }
  }
  if (const int64_t rest = p.in - i; rest > 0)
    for (int n = 0; n < N; ++n) {
      const Vec<T> wide = load_wide_part<T>(w + n * p.in + i, rest);
      for (int k = 0; k < R; ++k) s[k][n] += load_part(x + k * p.in + i, rest) * wide;
    }
  for (int k = 0; k < R; ++k)
    for (int n = 0; n < N; ++n) p.y[(r + k) * p.out + o + n] = sum(s[k][n]);
}

// All rows of N outputs: the weights come from memory for the first rows, for the others they are in the cache.
template <int N, class T, class W>
ALINEA_INLINE void every_row(const Product<T, W>& p, int64_t o) {
  int64_t r = 0;
  for (; r + 4 <= p.rows; r += 4) block<4, N>(p, r, o);
  if (p.rows - r == 3) block<3, N>(p, r, o);
  if (p.rows - r == 2) block<2, N>(p, r, o);
  if (p.rows - r == 1) block<1, N>(p, r, o);
}

template <class T, class W>
ALINEA_KERNEL void outputs(const Product<T, W>& p, int64_t begin, int64_t end) {
  int64_t o = begin;
  for (; o + outputs_at_once <= end; o += outputs_at_once) every_row<outputs_at_once>(p, o);
  for (; o < end; ++o) every_row<1>(p, o);
  if (!p.bias && p.activation == Activation::none) return;
  for (int64_t r = 0; r < p.rows; ++r)
    for (int64_t i = begin; i < end; i += lanes<T>) {
      T* y = p.y + r * p.out + i;
      Vec<T> v = load_up_to(y, end - i);
      if (p.bias) v += load_up_to(p.bias + i, end - i);
      store_up_to(y, activate(v, p.activation), end - i);
    }
}

ALINEA_KERNEL void widen_all(const bf16* from, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + lanes<float> <= n; i += lanes<float>) store(to + i, load_wide(from + i));
  for (; i < n; ++i) to[i] = float(from[i]);
}

template <class T, class W>
void run(const Product<T, W>& p) {
  const int64_t groups = (p.out + outputs_at_once - 1) / outputs_at_once;
  parallel_for(groups, row_grain(outputs_at_once * p.in), [&](int64_t begin, int64_t end) { outputs(p, begin * outputs_at_once, std::min(p.out, end * outputs_at_once)); });
}

}  // namespace

Tensor few_rows_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation) {
  const int64_t rows = x.shape().rows(), in = weight.size(1), out = weight.size(0);
  const Tensor y = x.context().empty(x.shape().with_last(out), x.dtype());
  with_float(x.dtype(), "linear", [&]<class T>() {
    const T* b = bias ? bias.data<T>() : nullptr;
    if (weight.dtype() == x.dtype()) return run(Product<T, T>{x.data<T>(), weight.data<T>(), b, y.data<T>(), rows, in, out, activation});
    if constexpr (std::is_same_v<T, float>) run(Product<T, bf16>{x.data<T>(), weight.data<bf16>(), b, y.data<T>(), rows, in, out, activation});
  });
  return y;
}

void widen(const bf16* from, float* to, int64_t n) { widen_all(from, to, n); }

}  // namespace alinea
