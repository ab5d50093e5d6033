#include "engine/ops/few_rows.h"

#include <atomic>

#include "engine/ops/activate.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

// Memory is read fastest as several streams that the processor's own prefetching follows (calling for lines ahead of time by instructions
// gave a quarter less): each stream is a page of weights, some consecutive outputs. It loses track where two streams share a page.
constexpr int64_t page = 4096;
constexpr int rows_at_once = 6;
/// Outputs that are summed side by side for R rows: R · streams sums fit into the registers.
template <int R>
constexpr int streams = R <= 3 ? 8 : 30 / (R + 1);

/// One product: W is T or bf16.
template <class T, class W>
struct Product {
  const T* x;                                               // with bf16 weights, rows in the order of pair_all
  const W* weight;
  const T* bias;
  T* y;
  int64_t rows, in, out;
  Activation activation;
  int64_t page_rows() const { return std::max<int64_t>(1, page / std::max<int64_t>(1, in * int64_t(sizeof(W)))); }
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

// Rows r … r + R - 1 of the outputs o, o + step, … (N of them).
template <int R, int N, class T, class W>
ALINEA_INLINE void block(const Product<T, W>& p, int64_t r, int64_t o, int64_t step) {
  constexpr int P = pieces<T, W>;
  constexpr int64_t L = lanes<T>, line = P * L;
  const T* x = p.x + r * p.in;
  const W* w = p.weight + o * p.in;
  Vec<T> s[R][N] = {};
  int64_t i = 0;
  for (; i + line <= p.in; i += line)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      Vec<T> wide[P];
      load_wide(w + n * step * p.in + i, wide);
#pragma GCC unroll 6
      for (int k = 0; k < R; ++k)
#pragma GCC unroll 2
        for (int j = 0; j < P; ++j) s[k][n] += load(x + k * p.in + i + j * L) * wide[j];
    }
  T lanes_of[R * N * L];                                     // by way of memory, so that what follows is one loop and not R · N copies of it
#pragma GCC unroll 6
  for (int k = 0; k < R; ++k)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) store(lanes_of + (k * N + n) * L, s[k][n]);
#pragma GCC unroll 1
  for (int q = 0; q < R * N; ++q) {
    const int64_t k = q / N, n = q % N;
    T y = sum(load(lanes_of + q * L));
    for (int64_t j = i; j < p.in; ++j) y += x[k * p.in + j] * T(w[n * step * p.in + j]);
    p.y[(r + k) * p.out + o + n * step] = y;
  }
}

// R rows of the outputs begin … end - 1: pages side by side, each from its first output to its last; then what fills no whole set of pages.
template <int R, class T, class W>
ALINEA_INLINE void some_rows(const Product<T, W>& p, int64_t r, int64_t begin, int64_t end) {
  constexpr int N = streams<R>;
  const int64_t step = p.page_rows();
  int64_t o = begin;
  for (; o + N * step <= end; o += N * step)
    for (int64_t i = 0; i < step; ++i) block<R, N>(p, r, o + i, step);
  for (; o + N <= end; o += N) block<R, N>(p, r, o, 1);
  for (; o < end; ++o)
    for (int64_t k = 0; k < R; ++k) block<1, 1>(p, r + k, o, 1);
}

// Outputs begin … end - 1 of all rows, in equal passes: for the first the weights come from memory, for the others from the cache.
template <class T, class W>
ALINEA_KERNEL void outputs(const Product<T, W>& p, int64_t begin, int64_t end) {
  const int64_t passes = (p.rows + rows_at_once - 1) / rows_at_once;
  for (int64_t pass = 0; pass < passes; ++pass) {
    const int64_t r = p.rows * pass / passes;
    switch (p.rows * (pass + 1) / passes - r) {
      case 1: some_rows<1>(p, r, begin, end); break;
      case 2: some_rows<2>(p, r, begin, end); break;
      case 3: some_rows<3>(p, r, begin, end); break;
      case 4: some_rows<4>(p, r, begin, end); break;
      case 5: some_rows<5>(p, r, begin, end); break;
      default: some_rows<6>(p, r, begin, end); break;
    }
  }
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

// Every output is a sum of its own, whoever computes it: threads take pieces of the weights, so that one whose core is lent to
// another program does not hold up the rest.
template <class T, class W>
void run(const Product<T, W>& p) {
  const int64_t piece = 120 * p.page_rows();                // a multiple of all numbers of streams, half a megabyte
  const int workers = std::min<int64_t>(threads_for(p.out, row_grain(p.in)), (p.out + piece - 1) / piece);
  std::atomic<int64_t> next = 0;
  parallel_for(workers, 1, [&](int64_t, int64_t) {
    for (int64_t begin; (begin = next.fetch_add(piece, std::memory_order_relaxed)) < p.out;) outputs(p, begin, std::min(p.out, begin + piece));
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
