#include "engine/ops/dropout.h"

#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/philox.h"
#include "engine/ops/recipe.h"

namespace alinea {

namespace {

// y = x ⊙ m · scale for groups first … last-1 of philox_width elements; y may be x.
template <class T>
ALINEA_KERNEL void drop(const T* x, T* y, int64_t count, RandomKey key, uint64_t offset, uint32_t threshold, T scale, int64_t first, int64_t last) {
  typedef uint32_t Bits __attribute__((vector_size(64)));
  alignas(64) uint32_t numbers[philox_width];
  for (int64_t group = first; group < last; ++group) {
    const int64_t at = group * philox_width;
    philox_blocks(key, offset + uint64_t(at / 4), numbers);
    const int64_t n = std::min(philox_width, count - at);
    int64_t i = 0;
    if constexpr (std::is_same_v<T, float>)
      for (; i + 16 <= n; i += 16) {
        Bits bits, value;
        std::memcpy(&bits, numbers + i, sizeof bits);
        const Vec<float> scaled = load(x + at + i) * scale;
        std::memcpy(&value, &scaled, sizeof value);
        value &= Bits(bits >= threshold);
        std::memcpy(y + at + i, &value, sizeof value);
      }
    for (; i < n; ++i) y[at + i] = numbers[i] >= threshold ? x[at + i] * scale : T(0);
  }
}

void drop(const Dropout& op, const Tensor& x, const Tensor& y) {
  auto on_cpu = [&] {
    with_float(x.dtype(), "dropout", [&]<class T>() {
      const T* in = x.data<T>();
      T* out = y.data<T>();
      parallel_for((x.count() + philox_width - 1) / philox_width, 512, [&](int64_t first, int64_t last) {
        drop<T>(in, out, x.count(), op.key, op.offset, uint32_t(op.p * 0x1p32), T(1 / (1 - op.p)), first, last);
      });
    });
  };
  on_device(x, on_cpu, [&] { cuda::dropout(op.key, op.offset, op.p, x, y); });
}

}  // namespace

Tensor Dropout::forward(const Tensor& x, Saved* kept) const {
  require(p >= 0 && p < 1, "dropout: p is {}; it must be at least 0 and below 1", p);
  if (p == 0) return x;
  const Tensor y = x.context().empty(x.shape(), x.dtype());
  drop(*this, x, y);
  if (kept) {
    KeptInput from;
    from = x;
    leave_recipe(y, [op = *this, make = from.source()] { return op.forward(make(), nullptr); });
  }
  return y;
}

Grads<1> Dropout::backward(Saved&&, Tensor&& g, const Needs<1>&) const {
  if (p == 0) return {std::move(g)};
  g = g.compact();
  const Tensor d = g.sole_owner() ? g : g.context().empty(g.shape(), g.dtype());
  drop(*this, g, d);
  return {d};
}

}  // namespace alinea
