#include "engine/ops/monotonic.h"

#include "engine/core/denormals.h"
#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/ops/beta_rows.h"
#include "engine/ops/cuda_monotonic.h"
#include "engine/ops/scan.h"

namespace alinea {

namespace {

template <Vector V>
struct Choice {
  V write, read;                                            // p = σ(z), r = σ(-z)
};

// Both to full relative accuracy from one exponential and one division: the small one is formed first, the large one is what it leaves of 1.
// 1 / (1 + e) instead rounds the large one twice, on average down, which adds up over thousands of columns.
template <Vector V>
ALINEA_INLINE Choice<V> choose(V z) {
  const V e = exp_nonpositive(-abs(z)), small = e / (Lane<V>(1) + e), large = Lane<V>(1) - small;
  return {z >= 0 ? large : small, z >= 0 ? small : large};
}

// The last valid column writes for certain.
template <Vector V>
ALINEA_INLINE void force(Choice<V>&, Whole) {}
template <Vector V>
ALINEA_INLINE void force(Choice<V>& choice, Part last) { choice.write[last.n - 1] = 1, choice.read[last.n - 1] = 0; }

// One head of one item: columns 0 … n-1 of T rows, zeros up to S. `start` is the row before the first: one-hot at column 0.
template <class T>
ALINEA_KERNEL void alpha_forward(const T* z, T* alpha, const T* start, int64_t rows, int64_t S, int64_t n) {
  const int64_t last = (n - 1) / lanes<T> * lanes<T>;       // where the last vector begins, whole or not
  for (int64_t i = 0; i < rows; ++i, z += S, start = alpha, alpha += S) {
    Vec<T> carry{}, before{};                               // q of the column before, and all r of the vector before
    auto step = [&](int64_t j, auto part) __attribute__((always_inline)) {
      auto choice = choose(load(z + j, part));
      force(choice, part);
      Vec<T> a = shift_up<1>(choice.read, before), q = load(start + j, part);
      before = choice.read;
      affine_prefix(a, q);
      q = q + a * carry;
      carry = spread_last(q);
      store(alpha + j, Vec<T>(choice.write * q), part);
    };
    from_left<T>(0, last, step);
    step(last, Part{n - last});
    for (int64_t j = n; j < S; ++j) alpha[j] = 0;
  }
}

// `value` is V of the row below, n rounded up to whole vectors, zero at first.
template <class T>
ALINEA_KERNEL void alpha_backward(const T* z, const T* alpha, const T* g, T* dz, T* value, int64_t rows, int64_t S, int64_t n) {
  const int64_t last = (n - 1) / lanes<T> * lanes<T>;
  for (int64_t i = rows - 1; i >= 0; --i) {
    const T *zi = z + i * S, *ai = alpha + i * S, *gi = g + i * S;
    T* di = dz + i * S;
    Vec<T> after{};                                         // V of the vector to the right
    auto step = [&](int64_t j, auto part) __attribute__((always_inline)) {
      auto choice = choose(load(zi + j, part));
      force(choice, part);
      const Vec<T> total = load(gi + j, part) + load(value + j);
      Vec<T> a = choice.read, v = choice.write * total;
      affine_suffix(a, v);
      v = v + a * spread_first(after);
      store(di + j, Vec<T>(load(ai + j, part) * choice.read * (total - shift_down<1>(v, after))), part);
      store(value + j, v);
      after = v;
    };
    step(last, Part{n - last});
    from_right<T>(0, last, step);
    for (int64_t j = n; j < S; ++j) di[j] = 0;
  }
}

void check_alpha(const Tensor& z, const std::vector<int32_t>& lengths) {
  require(z.rank() == 4 && z.size(3) >= 1, "monotonic_alpha: z is {}; it must be [B, H, T, S] with S at least 1", z.shape());
  check_lengths("monotonic_alpha", "source", lengths, z.size(0), z.size(3));
}

}  // namespace

Tensor MonotonicAlpha::forward(const Tensor& z, Saved* kept) const {
  check_alpha(z, source_lengths);
  const int64_t B = z.size(0), H = z.size(1), rows = z.size(2), S = z.size(3);
  const Tensor alpha = z.context().empty(z.shape(), z.dtype());
  auto on_cpu = [&] {
    with_float(z.dtype(), "monotonic_alpha", [&]<class T>() {
      std::vector<T> start(size_t(S), T(0));
      start[0] = 1;
      const T* from = z.data<T>();
      T* to = alpha.data<T>();
      parallel_for(B * H, std::max<int64_t>(1, 8192 / std::max<int64_t>(1, rows * S)), [&](int64_t begin, int64_t end) {
        const FlushDenormals flush;
        for (int64_t h = begin; h < end; ++h)
          alpha_forward<T>(from + h * rows * S, to + h * rows * S, start.data(), rows, S, length_of(source_lengths, h / H, S));
      });
    });
  };
  on_device(z, on_cpu, [&] { cuda::monotonic_alpha(source_lengths, z, alpha); });
  if (kept) kept->z = z, kept->alpha = alpha;
  return alpha;
}

Grads<1> MonotonicAlpha::backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const {
  if (!need[0]) return {};
  g = g.compact();
  const int64_t B = g.size(0), H = g.size(1), rows = g.size(2), S = g.size(3);
  const Tensor dz = g.sole_owner() ? g : g.context().empty(g.shape(), g.dtype());
  auto on_cpu = [&] {
    with_float(g.dtype(), "monotonic_alpha", [&]<class T>() {
      const T *z = kept.z.data<T>(), *alpha = kept.alpha.data<T>(), *from = g.data<T>();
      T* to = dz.data<T>();
      parallel_for(B * H, std::max<int64_t>(1, 8192 / std::max<int64_t>(1, rows * S)), [&](int64_t begin, int64_t end) {
        const FlushDenormals flush;
        std::vector<T> value;
        for (int64_t h = begin; h < end; ++h) {
          const int64_t at = h * rows * S;
          value.assign(size_t(S + lanes<T>), T(0));
          alpha_backward<T>(z + at, alpha + at, from + at, to + at, value.data(), rows, S, length_of(source_lengths, h / H, S));
        }
      });
    });
  };
  on_device(g, on_cpu, [&] { cuda::monotonic_alpha_backward(source_lengths, kept.z, kept.alpha, g, dz); });
  return {dz};
}

}  // namespace alinea
