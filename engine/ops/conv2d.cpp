#include "engine/ops/conv2d.h"

#include <cstring>

#include "engine/blas/gemm.h"
#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/core/vec.h"
#include "engine/ops/bias.h"
#include "engine/ops/cuda_conv.h"

namespace alinea {

namespace {

constexpr int64_t tall = 1024;  // rows of a product: packing the weights pays, and the copy stays in the cache

// Sizes of one call and how its output is cut. A window is the N · C numbers that a tap row reads for one output.
struct Plan {
  int64_t B, H, W, C, O, M, N, s0, s1, p0, p1, rows, columns;
  int64_t window;        // N · C
  bool folded;           // im2col: a line of the copy holds all M tap rows
  int64_t lines, tiles;  // output rows per tile, tiles per item

  Plan(const Conv2d& op, const Shape& x, const Shape& w)
      : B(x[0]),
        H(x[1]),
        W(x[2]),
        C(x[3]),
        O(w[0]),
        M(w[2]),
        N(w[3]),
        s0(op.stride[0]),
        s1(op.stride[1]),
        p0(op.padding[0]),
        p1(op.padding[1]),
        rows(op.output_size(0, H, M)),
        columns(op.output_size(1, W, N)),
        window(N * C),
        folded(M * window < 128) {
    const int64_t most = std::max<int64_t>(1, std::min(tall / columns, B * rows / threads()));
    tiles = (rows + most - 1) / most;
    lines = (rows + tiles - 1) / tiles;
  }
  int64_t outputs() const { return rows * columns; }  // of one item
  int64_t depth() const { return M * window; }
  int64_t parts() const { return std::min<int64_t>(threads(), B * tiles); }
  int64_t products() const { return folded ? 1 : M; }
  int64_t width() const { return folded ? depth() : window; }
  // The copy holds the input rows i · s0 + f, f = 0 … s0-1, as s0 runs; run f has a row for each i that some tap m ≡ f needs.
  int64_t run(int64_t f, int64_t count) const { return f < M ? count + (M - 1 - f) / s0 : 0; }
  int64_t run_begin(int64_t f, int64_t count) const {
    int64_t n = 0;
    for (int64_t i = 0; i < f; ++i) n += run(i, count);
    return n;
  }
  int64_t copy_count() const { return (folded ? lines * M : run_begin(s0, lines)) * columns * window; }
  // Where the windows of tap row m start in the copy of `count` output rows.
  int64_t tap_begin(int64_t m, int64_t count) const { return folded ? 0 : (run_begin(m % s0, count) + m / s0) * columns * window; }

  // f(item, first output row, output rows) for tiles begin … end-1 of B · tiles.
  template <class F>
  void each_tile(int64_t begin, int64_t end, F&& f) const {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % tiles * lines;
      if (first < rows) f(i / tiles, first, std::min(lines, rows - first));
    }
  }
};

// The windows of input row r of an item, `step` numbers between the starts of two.
template <class T>
ALINEA_INLINE void gather_line(const Plan& p, const T* x, int64_t r, T* to, int64_t step) {
  const bool outside = r < 0 || r >= p.H;
  for (int64_t j = 0; j < p.columns; ++j, to += step) {
    const int64_t column = j * p.s1 - p.p1;
    const int64_t first = outside ? p.N : std::clamp<int64_t>(-column, 0, p.N),
                  last = outside ? p.N : std::clamp<int64_t>(p.W - column, first, p.N);
    for (int64_t e = 0; e < first * p.C; ++e) to[e] = T(0);
    if (last > first) std::memcpy(to + first * p.C, x + (r * p.W + column + first) * p.C, size_t((last - first) * p.C) * sizeof(T));
    for (int64_t e = last * p.C; e < p.window; ++e) to[e] = T(0);
  }
}

// The copy for output rows first … first + count - 1 of an item.
template <class T>
void gather(const Plan& p, const T* x, int64_t first, int64_t count, T* to) {
  if (p.folded) {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t m = 0; m < p.M; ++m)
        gather_line(p, x, (first + i) * p.s0 + m - p.p0, to + (i * p.columns * p.M + m) * p.window, p.depth());
    return;
  }
  for (int64_t f = 0; f < p.s0; ++f)
    for (int64_t i = 0; i < p.run(f, count); ++i, to += p.columns * p.window)
      gather_line(p, x, (first + i) * p.s0 + f - p.p0, to, p.window);
}

// The windows of a row added up at their places: the reverse of gather_line.
template <class T>
ALINEA_KERNEL void scatter_line(const Plan& p, const T* from, T* x) {
  std::memset(x, 0, size_t(p.W * p.C) * sizeof(T));
  for (int64_t j = 0; j < p.columns; ++j, from += p.window) {
    const int64_t column = j * p.s1 - p.p1, first = std::clamp<int64_t>(-column, 0, p.N),
                  last = std::clamp<int64_t>(p.W - column, first, p.N);
    const int64_t n = (last - first) * p.C;
    const T* a = from + first * p.C;
    T* to = x + (column + first) * p.C;
    int64_t e = 0;
    for (; e + lanes<T> <= n; e += lanes<T>) store(to + e, load(to + e) + load(a + e));
    for (; e < n; ++e) to[e] += a[e];
  }
}

// weight [O, C, M · N] -> [O, M, N, C].
template <class T>
Tensor repacked(const Plan& p, const Tensor& weight) {
  const Tensor packed = weight.context().empty(Shape{p.O, p.depth()}, weight.dtype());
  const T* from = weight.data<T>();
  T* to = packed.data<T>();
  parallel_for(p.O, std::max<int64_t>(1, 16384 / p.depth()), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o)
      for (int64_t tap = 0; tap < p.M * p.N; ++tap)
        for (int64_t c = 0; c < p.C; ++c) to[(o * p.M * p.N + tap) * p.C + c] = from[(o * p.C + c) * p.M * p.N + tap];
  });
  return packed;
}

// Σ over parts of [O, M, N, C] back to the weight's layout, added to it when beta is 1.
template <class T>
void unpack(const Plan& p, const T* sums, int64_t parts, const GradTarget& target) {
  T* to = target.tensor.template data<T>();
  const int64_t taps = p.M * p.N, count = p.O * p.depth();
  parallel_for(p.O, std::max<int64_t>(1, 16384 / p.depth()), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o)
      for (int64_t c = 0; c < p.C; ++c)
        for (int64_t tap = 0; tap < taps; ++tap) {
          T& out = to[(o * p.C + c) * taps + tap];
          T s = target.beta == 0 ? T(0) : out;
          for (int64_t k = 0; k < parts; ++k) s += sums[k * count + (o * taps + tap) * p.C + c];
          out = s;
        }
  });
}

// h = windows · wᵀ, and where it happens in place, bias and activation while the tile is in the cache.
template <class T>
Tensor convolve(const Plan& p, const Tensor& x, const Tensor& weight, const Tensor& bias, Activation in_place) {
  Context& context = x.context();
  const Tensor w = repacked<T>(p, weight), h = context.empty(Shape{p.B, p.rows, p.columns, p.O}, x.dtype());
  const Tensor flat = h.reshape({p.B * p.outputs(), p.O}), copies = context.empty(Shape{p.parts(), p.copy_count()}, x.dtype());
  parallel_for(p.parts(), 1, [&](int64_t first_part, int64_t last_part) {
    for (int64_t part = first_part; part < last_part; ++part) {
      T* copy = copies.data<T>() + part * p.copy_count();
      p.each_tile(p.B * p.tiles * part / p.parts(), p.B * p.tiles * (part + 1) / p.parts(),
                  [&](int64_t item, int64_t first, int64_t count) {
                    gather(p, x.data<T>() + item * p.H * p.W * p.C, first, count, copy);
                    const int64_t begin = item * p.outputs() + first * p.columns, n = count * p.columns;
                    for (int64_t m = 0; m < p.products(); ++m)
                      gemm(context,
                           Gemm{.transpose_b = true,
                                .m = n,
                                .n = p.O,
                                .k = p.width(),
                                .lda = p.width(),
                                .ldb = p.depth(),
                                .ldc = p.O,
                                .beta = m == 0 ? 0.0 : 1.0},
                           copy + p.tap_begin(m, count), w.data<T>() + m * p.window, flat.data<T>() + begin * p.O);
                    if (in_place != Activation::gelu) bias_activation(flat.slice(0, begin, begin + n), bias, in_place, false);
                  });
    }
  });
  return h;
}

// dw: each thread sums over tiles of its own.
template <class T>
Tensor weight_gradient(const Plan& p, const Tensor& g, const Tensor& x, const Need& need) {
  Context& context = x.context();
  const Tensor sums = context.empty(Shape{p.parts(), p.O * p.depth()}, x.dtype()),
               copies = context.empty(Shape{p.parts(), p.copy_count()}, x.dtype());
  parallel_for(p.parts(), 1, [&](int64_t first_part, int64_t last_part) {
    for (int64_t part = first_part; part < last_part; ++part) {
      T *copy = copies.data<T>() + part * p.copy_count(), *sum = sums.data<T>() + part * p.O * p.depth();
      bool started = false;
      p.each_tile(p.B * p.tiles * part / p.parts(), p.B * p.tiles * (part + 1) / p.parts(),
                  [&](int64_t item, int64_t first, int64_t count) {
                    gather(p, x.data<T>() + item * p.H * p.W * p.C, first, count, copy);
                    for (int64_t m = 0; m < p.products(); ++m)
                      gemm(context,
                           Gemm{.transpose_a = true,
                                .m = p.O,
                                .n = p.width(),
                                .k = count * p.columns,
                                .lda = p.O,
                                .ldb = p.width(),
                                .ldc = p.depth(),
                                .beta = started ? 1.0 : 0.0},
                           g.data<T>() + (item * p.outputs() + first * p.columns) * p.O, copy + p.tap_begin(m, count), sum + m * p.window);
                    started = true;
                  });
      if (!started) std::fill_n(sum, p.O * p.depth(), T(0));
    }
  });
  const GradTarget target(need, Shape{p.O, p.C, p.M, p.N}, x.dtype(), context);
  unpack(p, sums.data<T>(), p.parts(), target);
  return target.tensor;
}

// dx of the input rows i · s0 + f - p0, i = first … first + count - 1: Σ over the taps m ≡ f of the output rows i - m / s0.
template <class T>
void input_rows(const Plan& p, Context& context, const T* g, const T* w, int64_t first, int64_t count, int64_t f, T* copy, T* dx) {
  bool started = false;
  for (int64_t m = f; m < p.M; m += p.s0) {
    const int64_t shift = m / p.s0, begin = std::max(first, shift), end = std::min(first + count, p.rows + shift);
    if (!started && (begin > first || end < first + count)) std::fill_n(copy, count * p.columns * p.window, T(0)), started = true;
    if (begin >= end) continue;
    gemm(context,
         Gemm{.m = (end - begin) * p.columns,
              .n = p.window,
              .k = p.O,
              .lda = p.O,
              .ldb = p.depth(),
              .ldc = p.window,
              .beta = started ? 1.0 : 0.0},
         g + (begin - shift) * p.columns * p.O, w + m * p.window, copy + (begin - first) * p.columns * p.window);
    started = true;
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t r = (first + i) * p.s0 + f - p.p0;
    if (r < 0 || r >= p.H) continue;
    if (f < p.M)
      scatter_line(p, copy + i * p.columns * p.window, dx + r * p.W * p.C);
    else
      std::memset(dx + r * p.W * p.C, 0, size_t(p.W * p.C) * sizeof(T));
  }
}

// dx: every input row belongs to one tile, so that threads do not meet.
template <class T>
Tensor input_gradient(const Plan& p, const Tensor& g, const Tensor& weight) {
  Context& context = weight.context();
  const int64_t all = (p.H + p.p0 + p.s0 - 1) / p.s0, tiles = (all + p.lines - 1) / p.lines,
                parts = std::min<int64_t>(threads(), p.B * tiles);
  const int64_t room = p.lines * p.columns * p.window;
  const Tensor w = repacked<T>(p, weight), dx = context.empty(Shape{p.B, p.H, p.W, p.C}, weight.dtype()),
               copies = context.empty(Shape{parts, room}, weight.dtype());
  parallel_for(parts, 1, [&](int64_t first_part, int64_t last_part) {
    for (int64_t part = first_part; part < last_part; ++part)
      for (int64_t i = p.B * tiles * part / parts; i < p.B * tiles * (part + 1) / parts; ++i) {
        const int64_t item = i / tiles, first = i % tiles * p.lines;
        for (int64_t f = 0; f < p.s0; ++f)
          input_rows(p, context, g.data<T>() + item * p.outputs() * p.O, w.data<T>(), first, std::min(p.lines, all - first), f,
                     copies.data<T>() + part * room, dx.data<T>() + item * p.H * p.W * p.C);
      }
  });
  return dx;
}

cuda::Convolution on_gpu(const Conv2d& op, const Shape& x, const Shape& w) {
  return {x[0], x[1], x[2], x[3], w[0], w[2], w[3], 1, op.stride[0], op.stride[1], op.padding[0], op.padding[1], op.output_size(0, x[1], w[2]), op.output_size(1, x[2], w[3])};
}

}  // namespace

Tensor Conv2d::forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Saved* kept) const {
  same_device("conv2d", x, weight, bias);
  require(stride[0] >= 1 && stride[1] >= 1 && padding[0] >= 0 && padding[1] >= 0,
          "conv2d: stride {}, {} and padding {}, {}; stride starts at 1, padding at 0", stride[0], stride[1], padding[0], padding[1]);
  require(x.rank() == 4 && weight.rank() == 4 && x.size(3) == weight.size(1) && weight.size(2) >= 1 && weight.size(3) >= 1,
          "conv2d: x is {} and weight {}; x must be [B, H, W, C] and weight [O, C, M, N]", x.shape(), weight.shape());
  require(!bias || bias.shape() == Shape{weight.size(0)}, "conv2d: bias is {}, weight {} needs [{}]", bias.shape(), weight.shape(),
          weight.size(0));
  require(x.dtype() == weight.dtype(), "conv2d: x is {} and weight is {}; both must have one dtype", x.dtype(), weight.dtype());
  require(x.size(1) + 2 * padding[0] >= weight.size(2) && x.size(2) + 2 * padding[1] >= weight.size(3),
          "conv2d: x {} with padding {}, {} is smaller than the kernel {} x {}; pad more", x.shape(), padding[0], padding[1],
          weight.size(2), weight.size(3));
  Tensor h, y;
  auto on_cpu = [&] {
    with_float(x.dtype(), "conv2d", [&]<class T>() { h = convolve<T>(Plan(*this, x.shape(), weight.shape()), x, weight, bias, activation); });
    y = activation == Activation::gelu ? bias_activation(h, bias, activation, kept != nullptr) : h;
  };
  on_device(x, on_cpu, [&] {
    const cuda::Convolution c = on_gpu(*this, x.shape(), weight.shape());
    h = x.context().empty({c.B, c.rows, c.columns, c.O}, x.dtype());
    cuda::convolve(c, x, weight, h);
    y = bias_activation(h, bias, activation, kept != nullptr);
  });
  if (kept) kept->keep(x, weight, h, y, activation);
  return y;
}

Grads<3> Conv2d::backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const {
  g = g.compact();
  Grads<3> d;
  g = activation_backward(std::move(g), kept.hidden, activation, need[2], d[2]);
  kept.hidden = {};
  auto on_cpu = [&] {
    const Plan plan(*this, kept.x_shape, kept.weight_shape);
    with_float(g.dtype(), "conv2d", [&]<class T>() {
      if (need[1]) d[1] = weight_gradient<T>(plan, g, kept.x.take(), need[1]);
      if (need[0]) d[0] = input_gradient<T>(plan, g, kept.weight);
    });
  };
  on_device(g, on_cpu, [&] {
    const cuda::Convolution c = on_gpu(*this, kept.x_shape, kept.weight_shape);
    if (need[1]) d[1] = cuda::convolution_weight_gradient(c, g, kept.x.take(), need[1], kept.weight_shape);
    if (need[0]) d[0] = cuda::convolution_input_gradient(c, g, kept.weight, kept.x_shape);
  });
  return d;
}

}  // namespace alinea
