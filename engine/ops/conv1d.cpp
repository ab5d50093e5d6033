#include "engine/ops/conv1d.h"

#include <cstring>
#include <optional>

#include "engine/blas/gemm.h"
#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/ops/bias.h"
#include "engine/ops/cuda_conv.h"
#include "engine/ops/narrow_conv.h"

namespace alinea {

namespace {

// Sizes of one call and how its windows are cut into products.
struct Plan {
  int64_t B, T, C, O, K, stride, pad_left, groups, rows;     // rows: T'
  int64_t in, out;                                           // channels of a group
  int64_t length;                                            // rows of an item in the padded copy, a multiple of stride
  bool copied;                                               // x is read through a padded copy [groups, B · length, in]
  bool merged;                                               // all items are one run of rows; rows between two items are junk
  int64_t tap_block, m;                                      // taps per product, and the windows' interleave ⌈tap_block / stride⌉

  Plan(const Conv1d& op, const Shape& x, const Shape& w)
      : B(x[0]), T(x[1]), C(x[2]), O(w[0]), K(w[2]), stride(op.stride), pad_left(op.pad_left), groups(op.groups), rows(op.output_length(T, K)),
        in(C / groups), out(O / groups) {
    constexpr int64_t tall = 48;                             // rows that a product should have, so that packing the weights pays
    merged = B > 1 && rows * stride / K < tall;
    const int64_t padded = T + op.pad_left + op.pad_right;
    copied = groups > 1 || op.pad_left + op.pad_right > 0 || (merged && T % stride != 0);
    length = copied ? (padded + stride - 1) / stride * stride : T;
    const int64_t total = run_rows();
    tap_block = std::clamp<int64_t>(total / tall * stride, std::min<int64_t>(K, 4), K);
    m = (tap_block + stride - 1) / stride;
  }
  int64_t pitch() const { return length / stride; }          // windows that start in one item of the merged run
  int64_t runs() const { return merged ? 1 : B; }
  int64_t run_rows() const { return merged ? (B - 1) * pitch() + rows : rows; }
  int64_t group_step() const { return B * length * in; }     // between two groups of the padded copy
  NarrowConv narrow() const { return {B, groups, length, in, out, K, stride, rows}; }
  int64_t copy_count() const { return C * B * length; }

  // f(first tap, taps, first row, rows): the products that together cover rows begin … end-1 of a run.
  template <class F>
  void products(int64_t begin, int64_t end, F&& f) const {
    for (int64_t k = 0; k < K; k += tap_block)
      for (int64_t r = 0; r < m && begin + r < end; ++r) f(k, std::min(tap_block, K - k), begin + r, (end - begin - r + m - 1) / m);
  }
};

// weight [O, in, K] -> [O, K, in], or back (adding when `add`).
template <class T>
void repack(const T* from, T* to, int64_t O, int64_t rows, int64_t columns, bool add) {
  parallel_for(O, std::max<int64_t>(1, 16384 / (rows * columns)), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const T* a = from + o * rows * columns;
      T* b = to + o * rows * columns;
      for (int64_t c = 0; c < columns; ++c)
        for (int64_t r = 0; r < rows; ++r) b[c * rows + r] = a[r * columns + c] + (add ? b[c * rows + r] : T(0));
    }
  });
}

// x [B, T, C] -> padded copy [groups, B, length, in]; or the rows of the copy back to x.
template <class T>
void pad(const Plan& p, const T* x, T* copy) {
  parallel_for(p.groups * p.B, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t group = i / p.B, item = i % p.B;
      T* to = copy + group * p.group_step() + item * p.length * p.in;
      const T* from = x + item * p.T * p.C + group * p.in;
      const int64_t used = std::min(p.T, p.length - p.pad_left), after = (p.pad_left + used) * p.in;
      std::fill_n(to, p.pad_left * p.in, T(0));
      for (int64_t t = 0; t < used; ++t) std::memcpy(to + (p.pad_left + t) * p.in, from + t * p.C, size_t(p.in) * sizeof(T));
      std::fill_n(to + after, p.length * p.in - after, T(0));
    }
  });
}
template <class T>
void unpad(const Plan& p, const T* copy, T* x) {
  parallel_for(p.groups * p.B, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t group = i / p.B, item = i % p.B;
      const T* from = copy + group * p.group_step() + (item * p.length + p.pad_left) * p.in;
      for (int64_t t = 0; t < p.T; ++t) std::memcpy(x + (item * p.T + t) * p.C + group * p.in, from + t * p.in, size_t(p.in) * sizeof(T));
    }
  });
}

// What the products read: x itself or its padded copy, with the step between the rows of a run.
template <class T>
struct Source {
  Tensor owner;
  const T* data;
  Source(const Plan& p, const Tensor& x) : owner(x), data(x.data<T>()) {
    if (!p.copied) return;
    owner = x.context().empty(Shape{p.copy_count()}, x.dtype());
    pad(p, data, owner.data<T>());
    data = owner.data<T>();
  }
};

template <class T>
Tensor repacked(const Tensor& weight) {
  Tensor w = weight.context().empty(weight.shape(), weight.dtype());
  repack(weight.data<T>(), w.data<T>(), weight.size(0), weight.size(1), weight.size(2), false);
  return w;
}

template <class T>
Tensor convolve_narrow(const Plan& p, const Source<T>& source, const Tensor& weight, bool flipped) {
  Context& context = weight.context();
  const NarrowConv narrow = p.narrow();
  const Tensor packed = context.empty(weight.shape(), weight.dtype()), h = context.empty(Shape{p.B, p.rows, p.O}, weight.dtype());
  narrow.pack_weights(weight.data<T>(), flipped, packed.data<T>());
  narrow.forward(source.data, packed.data<T>(), h.data<T>());
  return h;
}

// h = windows · wᵀ, without bias.
template <class T>
Tensor convolve(const Plan& p, const Tensor& x, const Tensor& weight) {
  Context& context = x.context();
  const Source<T> source(p, x);
  if (p.narrow().fits<T>()) return convolve_narrow(p, source, weight, false);
  const Tensor w = repacked<T>(weight);
  const Tensor h = context.empty(Shape{p.merged ? p.run_rows() : p.B * p.rows, p.O}, x.dtype());
  const int64_t units = p.runs() * p.groups, row_parts = units % threads() == 0 || units >= 4 * threads() ? 1 : threads();
  const T* weights = w.data<T>();
  T* out = h.data<T>();
  const double work = double(p.run_rows()) * double(p.out * p.in * p.K);
  parallel_for(units * row_parts, std::max<int64_t>(1, int64_t(2e5 / work)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % row_parts, group = i / row_parts % p.groups, run = i / row_parts / p.groups;
      const T* rows = source.data + group * p.group_step() * (p.copied ? 1 : 0) + run * p.length * p.in;
      T* to = out + run * p.rows * p.O + group * p.out;
      p.products(p.run_rows() * part / row_parts, p.run_rows() * (part + 1) / row_parts, [&](int64_t k, int64_t taps, int64_t row, int64_t count) {
        gemm(context,
             Gemm{.transpose_b = true, .m = count, .n = p.out, .k = taps * p.in, .lda = p.m * p.stride * p.in, .ldb = p.K * p.in, .ldc = p.m * p.O,
                  .beta = k == 0 ? 0.0 : 1.0},
             rows + (row * p.stride + k) * p.in, weights + (group * p.out * p.K + k) * p.in, to + row * p.O);
      });
    }
  });
  if (!p.merged) return h.reshape({p.B, p.rows, p.O});
  for (int64_t b = 1; b < p.B; ++b)                          // close the gaps between the items
    std::memmove(out + b * p.rows * p.O, out + b * p.pitch() * p.O, size_t(p.rows * p.O) * sizeof(T));
  return h.slice(0, 0, p.B * p.rows).reshape({p.B, p.rows, p.O});
}

// g with zero rows between the items when they are one run.
template <class T>
Tensor spread(const Plan& p, const Tensor& g) {
  if (!p.merged) return g;
  const Tensor s = g.context().empty(Shape{p.run_rows(), p.O}, g.dtype());
  const T* from = g.data<T>();
  T* to = s.data<T>();
  for (int64_t b = 0; b < p.B; ++b) {
    std::memcpy(to + b * p.pitch() * p.O, from + b * p.rows * p.O, size_t(p.rows * p.O) * sizeof(T));
    if (b + 1 < p.B) std::fill_n(to + (b * p.pitch() + p.rows) * p.O, (p.pitch() - p.rows) * p.O, T(0));
  }
  return s;
}

// dw[o, k, c] = Σ g'[t, o] window[t][k, c], each thread some of the output channels.
template <class T>
void multiply_windows(const Plan& p, const Source<T>& source, const Tensor& gradient, const Tensor& packed) {
  Context& context = packed.context();
  const T* g = gradient.data<T>();
  const int64_t parts = p.groups % threads() == 0 || p.groups >= 4 * threads() ? 1 : std::min<int64_t>(threads(), p.out);
  parallel_for(p.groups * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t group = i / parts, first = p.out * (i % parts) / parts, last = p.out * (i % parts + 1) / parts;
      for (int64_t run = 0; run < p.runs(); ++run) {
        const T* rows = source.data + group * p.group_step() * (p.copied ? 1 : 0) + run * p.length * p.in;
        p.products(0, p.run_rows(), [&](int64_t k, int64_t taps, int64_t row, int64_t count) {
          gemm(context,
               Gemm{.transpose_a = true, .m = last - first, .n = taps * p.in, .k = count, .lda = p.m * p.O, .ldb = p.m * p.stride * p.in, .ldc = p.K * p.in,
                    .beta = run == 0 && row == 0 ? 0.0 : 1.0},
               g + (run * p.rows + row) * p.O + group * p.out + first, rows + (row * p.stride + k) * p.in,
               packed.data<T>() + ((group * p.out + first) * p.K + k) * p.in);
        });
      }
    }
  });
}

// dw as the products have it, then back to [O, in, K].
template <class T>
Tensor weight_gradient(const Plan& p, const Tensor& g, const Tensor& x, const Need& need) {
  Context& context = x.context();
  const Source<T> source(p, x);
  const Tensor packed = context.empty(Shape{p.O, p.K, p.in}, x.dtype());
  if (p.narrow().fits<T>()) p.narrow().weight_gradient(source.data, g.data<T>(), packed.data<T>());
  else multiply_windows(p, source, spread<T>(p, g), packed);
  const GradTarget target(need, Shape{p.O, p.in, p.K}, x.dtype(), context);
  repack(packed.data<T>(), target.tensor.template data<T>(), p.O, p.K, p.in, target.beta != 0);
  return target.tensor;
}

// Sizes of the convolution of g that gives dx: zeros on both sides, taps from the last to the first. Only a stride of 1 has one.
std::optional<Plan> turned(const Conv1d& op, const Plan& p) {
  if (op.stride != 1 || op.pad_left >= p.K || op.pad_right >= p.K) return {};
  return Plan(Conv1d{.pad_left = p.K - 1 - op.pad_left, .pad_right = p.K - 1 - op.pad_right, .groups = op.groups}, Shape{p.B, p.rows, p.O}, Shape{p.C, p.out, p.K});
}

// dx: every product adds its windows, which do not overlap; products run one after the other within an item and a group.
template <class T>
Tensor input_gradient(const Plan& p, const Tensor& gradient, const Tensor& weight) {
  Context& context = weight.context();
  const T* g = gradient.data<T>();
  const Tensor w = repacked<T>(weight);
  const Tensor d = context.zeros(p.copied ? Shape{p.copy_count()} : Shape{p.B, p.T, p.C}, weight.dtype());
  const int64_t units = p.runs() * p.groups;
  auto unit = [&](int64_t i) {
    const int64_t group = i % p.groups, run = i / p.groups;
    T* rows = d.data<T>() + group * p.group_step() * (p.copied ? 1 : 0) + run * p.length * p.in;
    p.products(0, p.run_rows(), [&](int64_t k, int64_t taps, int64_t row, int64_t count) {
      gemm(context,
           Gemm{.m = count, .n = taps * p.in, .k = p.out, .lda = p.m * p.O, .ldb = p.K * p.in, .ldc = p.m * p.stride * p.in, .beta = 1},
           g + (run * p.rows + row) * p.O + group * p.out, w.data<T>() + (group * p.out * p.K + k) * p.in, rows + (row * p.stride + k) * p.in);
    });
  };
  if (units < threads()) {
    for (int64_t i = 0; i < units; ++i) unit(i);             // the products themselves are split over the threads
  } else {
    parallel_for(units, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) unit(i);
    });
  }
  if (!p.copied) return d;
  const Tensor dx = context.empty(Shape{p.B, p.T, p.C}, weight.dtype());
  unpad(p, d.data<T>(), dx.data<T>());
  return dx;
}

// The GPU takes time as the second of two axes.
cuda::Convolution on_gpu(const Conv1d& op, const Shape& x, const Shape& w) {
  return {x[0], 1, x[1], x[2], w[0], 1, w[2], op.groups, 1, op.stride, 0, op.pad_left, 1, op.output_length(x[1], w[2])};
}

}  // namespace

Tensor Conv1d::forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Saved* kept) const {
  same_device("conv1d", x, weight, bias);
  require(stride >= 1 && pad_left >= 0 && pad_right >= 0 && groups >= 1, "conv1d: stride {}, padding {} and {}, groups {}; stride and groups start at 1, padding at 0",
          stride, pad_left, pad_right, groups);
  require(x.rank() == 3 && weight.rank() == 3 && x.size(2) == weight.size(1) * groups && weight.size(0) % groups == 0 && weight.size(2) >= 1,
          "conv1d: x is {}, weight {}, groups {}; x must be [B, T, C] and weight [O, C/groups, K] with O a multiple of groups", x.shape(), weight.shape(), groups);
  require(!bias || bias.shape() == Shape{weight.size(0)}, "conv1d: bias is {}, weight {} needs [{}]", bias.shape(), weight.shape(), weight.size(0));
  require(x.dtype() == weight.dtype(), "conv1d: x is {} and weight is {}; both must have one dtype", x.dtype(), weight.dtype());
  require(x.size(1) + pad_left + pad_right >= weight.size(2), "conv1d: {} rows with padding {} + {} are shorter than the kernel of {}; pad more", x.size(1), pad_left,
          pad_right, weight.size(2));
  Tensor h;
  auto on_cpu = [&] { with_float(x.dtype(), "conv1d", [&]<class T>() { h = convolve<T>(Plan(*this, x.shape(), weight.shape()), x, weight); }); };
  on_device(x, on_cpu, [&] {
    h = x.context().empty({x.size(0), output_length(x.size(1), weight.size(2)), weight.size(0)}, x.dtype());
    cuda::convolve(on_gpu(*this, x.shape(), weight.shape()), x, weight, h);
  });
  Tensor y = bias_activation(h, bias, activation, kept != nullptr);
  if (kept) kept->keep(x, weight, h, y, activation);
  return y;
}

Grads<3> Conv1d::backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const {
  g = g.compact();
  Grads<3> d;
  g = activation_backward(std::move(g), kept.hidden, activation, need[2], d[2]);
  kept.hidden = {};
  auto on_cpu = [&] {
    const Plan plan(*this, kept.x_shape, kept.weight_shape);
    with_float(g.dtype(), "conv1d", [&]<class T>() {
      if (need[1]) d[1] = weight_gradient<T>(plan, g, kept.x.take(), need[1]);
      if (!need[0]) return;
      const std::optional<Plan> back = turned(*this, plan);
      if (back && back->narrow().fits<T>()) d[0] = convolve_narrow(*back, Source<T>(*back, g), kept.weight, true);
      else d[0] = input_gradient<T>(plan, spread<T>(plan, g), kept.weight);
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
