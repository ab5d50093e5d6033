#include "engine/ops/few_rows.h"

#include <atomic>

#include "engine/ops/activate.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

constexpr int outputs_at_once = 4, rows_at_once = 6;          // the sums of a tile fit into 32 registers

/// One product: W is T or bf16.
template <class T, class W>
struct Product {
  const T* x;                                               // with bf16 weights, rows in the order of pair_all
  const W* weight;
  const T* bias;
  T* y;
  int64_t rows, in, out;
  Activation activation;
};

// Weights come in vectors of 64 bytes: `pieces` vectors of T. Of bf16, which are upper halves of floats, one piece holds the even
// elements and one the odd ones: a shift and a mask. The rows of x are put into the same order once.
template <class T, class W>
constexpr int pieces = sizeof(T) / sizeof(W);

template <class T>
ALINEA_INLINE void load_wide(const T* p, Vec<T> (&v)[1]) { v[0] = load(p); }
ALINEA_INLINE void load_wide(const bf16* p, Vec<float> (&v)[2]) {
  typedef uint32_t words __attribute__((vector_size(64)));
  words w;
  std::memcpy(&w, p, sizeof w);
  const words even = w << 16, odd = w & 0xFFFF0000u;
  std::memcpy(&v[0], &even, sizeof even);
  std::memcpy(&v[1], &odd, sizeof odd);
}

// Elements i … of a row that ends at `end`, at most a vector.
template <class T, class W>
ALINEA_INLINE Vec<T> rest_wide(const W* row, int64_t i, int64_t end) {
  Vec<T> v{};
  for (int64_t j = i; j < std::min(end, i + lanes<T>); ++j) v[j - i] = T(row[j]);
  return v;
}

ALINEA_KERNEL void pair_all(const float* from, float* to, int64_t n) {
  constexpr int64_t L = lanes<float>;
  int64_t i = 0;
  for (; i + 2 * L <= n; i += 2 * L) {
    const Vec<float> a = load(from + i), b = load(from + i + L);
    store(to + i, __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30));
    store(to + i + L, __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31));
  }
  for (; i < n; ++i) to[i] = from[i];
}

// Rows r … r + R - 1 of outputs o … o + N - 1. Meanwhile the next outputs' weights are called for, a share in each of the passes over
// the rows, so that memory does not wait for arithmetic.
template <int R, int N, class T, class W>
ALINEA_INLINE void block(const Product<T, W>& p, int64_t r, int64_t o, int64_t pass, int64_t passes) {
  constexpr int P = pieces<T, W>;
  constexpr int64_t L = lanes<T>, line = P * L;
  const T* x = p.x + r * p.in;
  const W* w = p.weight + o * p.in;
  const int64_t share = (N + passes - 1) / passes;          // lines to call for in each step
  const W* next = w + N * p.in + pass * share * p.in;
  Vec<T> s[R][N] = {};
  int64_t i = 0;
  for (; i + line <= p.in; i += line) {
    Vec<T> wide[N][P];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) load_wide(w + n * p.in + i, wide[n]);
    __builtin_prefetch(next, 0, 2);
    if (share > 1) __builtin_prefetch(next + line, 0, 2);
    if (share > 2) __builtin_prefetch(next + 2 * line, 0, 2), __builtin_prefetch(next + 3 * line, 0, 2);
    next += share * line;
#pragma GCC unroll 6
    for (int k = 0; k < R; ++k)
#pragma GCC unroll 2
      for (int j = 0; j < P; ++j) {
        const Vec<T> one = load(x + k * p.in + i + j * L);
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n) s[k][n] += one * wide[n][j];
      }
  }
  if (i < p.in)
    for (int n = 0; n < N; ++n) {
      Vec<T> wide[P];
      for (int j = 0; j < P; ++j) wide[j] = rest_wide<T>(w + n * p.in, i + j * L, p.in);
      for (int k = 0; k < R; ++k)
        for (int j = 0; j < P; ++j)
          if (const int64_t rest = p.in - i - j * L; rest > 0) s[k][n] += load_up_to(x + k * p.in + i + j * L, rest) * wide[j];
    }
  for (int k = 0; k < R; ++k)
    for (int n = 0; n < N; ++n) p.y[(r + k) * p.out + o + n] = sum(s[k][n]);
}

// All rows of some outputs, as equal passes: for the first the weights come from memory, for the others from the cache.
template <class T, class W>
ALINEA_INLINE void every_row(const Product<T, W>& p, int64_t o) {
  constexpr int N = outputs_at_once;
  const int64_t passes = (p.rows + rows_at_once - 1) / rows_at_once;
  for (int64_t pass = 0; pass < passes; ++pass) {
    const int64_t r = p.rows * pass / passes;
    switch (p.rows * (pass + 1) / passes - r) {
      case 1: block<1, N>(p, r, o, pass, passes); break;
      case 2: block<2, N>(p, r, o, pass, passes); break;
      case 3: block<3, N>(p, r, o, pass, passes); break;
      case 4: block<4, N>(p, r, o, pass, passes); break;
      case 5: block<5, N>(p, r, o, pass, passes); break;
      default: block<6, N>(p, r, o, pass, passes); break;
    }
  }
}

template <class T, class W>
ALINEA_KERNEL void outputs(const Product<T, W>& p, int64_t begin, int64_t end) {
  int64_t o = begin;
  for (; o + outputs_at_once <= end; o += outputs_at_once) every_row(p, o);
  for (; o < end; ++o)
    for (int64_t r = 0; r < p.rows; ++r) block<1, 1>(p, r, o, 0, 1);
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
  for (int64_t i = 0; i < n; ++i) to[i] = float(from[i]);
}

// Every output is a sum of its own, whoever computes it: threads take pieces of some 256 KB of weights, so that one whose core is lent to
// another program does not hold up the rest.
template <class T, class W>
void run(const Product<T, W>& p) {
  const int64_t groups = (p.out + outputs_at_once - 1) / outputs_at_once;
  const int64_t piece = std::max<int64_t>(1, (1 << 18) / std::max<int64_t>(1, outputs_at_once * p.in * int64_t(sizeof(W))));
  const int workers = std::min<int64_t>(threads_for(groups, row_grain(outputs_at_once * p.in)), (groups + piece - 1) / piece);
  std::atomic<int64_t> next = 0;
  parallel_for(workers, 1, [&](int64_t, int64_t) {
    for (int64_t begin; (begin = next.fetch_add(piece, std::memory_order_relaxed)) < groups;)
      outputs(p, begin * outputs_at_once, std::min(p.out, (begin + piece) * outputs_at_once));
  });
}

}  // namespace

Tensor few_rows_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation) {
  const int64_t rows = x.shape().rows(), in = weight.size(1), out = weight.size(0);
  const Tensor y = x.context().empty(x.shape().with_last(out), x.dtype());
  with_float(x.dtype(), "linear", [&]<class T>() {
    const T* b = bias ? bias.data<T>() : nullptr;
    if (weight.dtype() == x.dtype()) return run(Product<T, T>{x.data<T>(), weight.data<T>(), b, y.data<T>(), rows, in, out, activation});
    if constexpr (std::is_same_v<T, float>) {
      const Tensor order = x.context().empty(x.shape(), x.dtype());
      for (int64_t r = 0; r < rows; ++r) pair_all(x.data<T>() + r * in, order.data<T>() + r * in, in);
      run(Product<T, bf16>{order.data<T>(), weight.data<bf16>(), b, y.data<T>(), rows, in, out, activation});
    }
  });
  return y;
}

void widen(const bf16* from, float* to, int64_t n) { widen_all(from, to, n); }

}  // namespace alinea
