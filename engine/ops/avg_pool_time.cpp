#include "engine/ops/avg_pool_time.h"

#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/core/vec.h"
#include "engine/ops/cuda_kernels.h"

namespace alinea {

namespace {

// to = factor · Σ of `rows` rows; rows 0 gives zeros.
template <class T>
ALINEA_KERNEL void mean(const T* x, int64_t rows, int64_t width, T factor, T* to) {
  int64_t c = 0;
  for (; c + lanes<T> <= width; c += lanes<T>) {
    Vec<T> s{};
    for (int64_t r = 0; r < rows; ++r) s += load(x + r * width + c);
    store(to + c, s * factor);
  }
  for (; c < width; ++c) {
    T s = 0;
    for (int64_t r = 0; r < rows; ++r) s += x[r * width + c];
    to[c] = s * factor;
  }
}

// f(item, window, members) for every window, over threads.
template <class F>
void each_window(const AvgPoolTime& op, const Shape& x, F&& f) {
  const int64_t T = x[1], windows = (T + op.ratio - 1) / op.ratio;
  parallel_for(x[0] * windows, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, op.ratio * x[2])), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t item = i / windows, window = i % windows, length = op.lengths.empty() ? T : op.lengths[size_t(item)];
      f(item, window, std::clamp<int64_t>(length - window * op.ratio, 0, op.ratio));
    }
  });
}

}  // namespace

Tensor AvgPoolTime::forward(const Tensor& x, Saved* kept) const {
  require(x.rank() == 3 && ratio >= 1, "avg_pool_time: x is {}, ratio {}; x must be [B, T, C] and ratio at least 1", x.shape(), ratio);
  require(lengths.empty() || int64_t(lengths.size()) == x.size(0), "avg_pool_time: {} lengths for a batch of {}", lengths.size(), x.size(0));
  for (const int32_t n : lengths) require(n >= 0 && n <= x.size(1), "avg_pool_time: a length is {}, x has {} rows", n, x.size(1));
  const int64_t T_ = x.size(1), C = x.size(2), windows = (T_ + ratio - 1) / ratio;
  const Tensor y = x.context().empty({x.size(0), windows, C}, x.dtype());
  auto on_cpu = [&] {
    with_float(x.dtype(), "avg_pool_time", [&]<class T>() {
      const T* from = x.data<T>();
      T* to = y.data<T>();
      each_window(*this, x.shape(), [&](int64_t b, int64_t w, int64_t n) {
        mean<T>(from + (b * T_ + w * ratio) * C, n, C, T(1) / T(std::max<int64_t>(n, 1)), to + (b * windows + w) * C);
      });
    });
  };
  on_device(x, on_cpu, [&] { cuda::avg_pool_time(x, ratio, lengths, y); });
  if (kept) kept->shape = x.shape();
  return y;
}

Grads<1> AvgPoolTime::backward(Saved&& kept, Tensor&& g, const Needs<1>&) const {
  g = g.compact();
  const int64_t T_ = kept.shape[1], C = kept.shape[2], windows = g.size(1);
  const Tensor d = g.context().empty(kept.shape, g.dtype());
  auto on_cpu = [&] {
    with_float(g.dtype(), "avg_pool_time", [&]<class T>() {
      const T* from = g.data<T>();
      T* to = d.data<T>();
      each_window(*this, kept.shape, [&](int64_t b, int64_t w, int64_t n) {
        for (int64_t t = w * ratio; t < std::min((w + 1) * ratio, T_); ++t) {
          const bool real = t < w * ratio + n;
          mean<T>(from + (b * windows + w) * C, real ? 1 : 0, C, T(1) / T(std::max<int64_t>(n, 1)), to + (b * T_ + t) * C);
        }
      });
    });
  };
  on_device(g, on_cpu, [&] { cuda::avg_pool_time_backward(g, ratio, lengths, d); });
  return {d};
}

}  // namespace alinea
