#include "engine/ops/matmul.h"

#include "engine/blas/gemm.h"
#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/ops/bias.h"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/few_rows.h"

namespace alinea {

void ProductSaved::keep(const Tensor& input, const Tensor& weights, const Tensor& h, const Tensor& y, Activation activation) {
  if (needs[1]) x = input;
  if (needs[0]) weight = weights;
  x_shape = input.shape(), weight_shape = weights.shape();
  if (activation == Activation::relu) hidden = y;
  if (activation == Activation::gelu) hidden = h;
}

namespace {

// h = x Wᵀ with bf16 weights, which are widened panel by panel.
void stored_product(const Tensor& x, const Tensor& weight, const Tensor& h) {
  const int64_t rows = x.shape().rows(), in = weight.size(1), out = weight.size(0), panel = std::clamp<int64_t>((1 << 19) / std::max<int64_t>(1, in), 64, 1024);
  const Tensor wide = x.context().empty({std::min(panel, out), in}, DType::f32);
  float* to = wide.data<float>();
  for (int64_t o = 0; o < out; o += panel) {
    const int64_t n = std::min(panel, out - o);
    const bf16* from = weight.data<bf16>() + o * in;
    parallel_for(n * in, 1 << 15, [&](int64_t begin, int64_t end) { widen(from + begin, to + begin, end - begin); });
    gemm(x.context(), Gemm{.transpose_b = true, .m = rows, .n = n, .k = in, .lda = in, .ldb = in, .ldc = out}, x.data<float>(), to, h.data<float>() + o);
  }
}

}  // namespace

Tensor Linear::forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Saved* kept) const {
  require(weight.rank() == 2 && x.rank() >= 1 && x.shape().last() == weight.size(1),
          "linear: x is {} and weight is {}; the last axis of x must equal the last axis of weight [O, C]", x.shape(), weight.shape());
  require(!bias || bias.shape() == Shape{weight.size(0)}, "linear: bias is {}, weight {} needs [{}]", bias.shape(), weight.shape(), weight.size(0));
  const bool stored = weight.dtype() == DType::bf16 && x.dtype() == DType::f32;
  require(x.dtype() == weight.dtype() || stored, "linear: x is {} and weight is {}; both must have one dtype, or x f32 and weight bf16", x.dtype(), weight.dtype());
  require(!bias || bias.dtype() == x.dtype(), "linear: bias is {} and x is {}; both must have one dtype", bias.dtype(), x.dtype());
  require(!stored || !kept, "linear: weight {} is bf16 and has no gradient; for training convert the weights with to(DType::f32)", weight.shape());
  same_device("linear", x, weight, bias);
  const int64_t rows = x.shape().rows(), in = weight.size(1), out = weight.size(0);
  if (x.context().device() == Device::cpu && !kept && rows <= most_few_rows) return few_rows_linear(x, weight, bias, activation);
  Tensor h = x.context().empty(x.shape().with_last(out), x.dtype());
  if (stored) {
    auto on_cpu = [&] { return stored_product(x, weight, h), bias_activation(h, bias, activation, false); };
    return on_device(x, on_cpu, [&] { return cuda::stored_linear(x, weight, bias, activation, h), h; });
  }
  with_float(x.dtype(), "linear", [&]<class T>() {
    gemm(x.context(), Gemm{.transpose_b = true, .m = rows, .n = out, .k = in, .lda = in, .ldb = in, .ldc = out}, x.data<T>(), weight.data<T>(), h.data<T>());
  });
  Tensor y = bias_activation(h, bias, activation, kept != nullptr);
  if (kept) kept->keep(x, weight, h, y, activation);
  return y;
}

Grads<3> Linear::backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const {
  g = g.compact();
  Context& context = g.context();
  Grads<3> d;
  const int64_t rows = g.shape().rows(), out = g.shape().last();
  g = activation_backward(std::move(g), kept.hidden, activation, need[2], d[2]);
  kept.hidden = {};
  with_float(g.dtype(), "linear", [&]<class T>() {
    if (need[1]) {
      const Tensor x = kept.x.take();
      const int64_t in = x.shape().last();
      const GradTarget target(need[1], Shape{out, in}, g.dtype(), context);
      gemm(context, Gemm{.transpose_a = true, .m = out, .n = in, .k = rows, .lda = out, .ldb = in, .ldc = in, .beta = target.beta}, g.data<T>(),
           x.data<T>(), target.tensor.data<T>());
      d[1] = target.tensor;
    }
    if (need[0]) {
      const int64_t in = kept.weight.size(1);
      d[0] = context.empty(g.shape().with_last(in), g.dtype());
      gemm(context, Gemm{.m = rows, .n = in, .k = out, .lda = out, .ldb = in, .ldc = in}, g.data<T>(), kept.weight.data<T>(), d[0].template data<T>());
    }
  });
  return d;
}

namespace {

// y = op(a) op(b) over equal leading axes.
Tensor product(const Tensor& a, bool ta, const Tensor& b, bool tb) {
  const int64_t m = a.size(ta ? -1 : -2), k = a.size(ta ? -2 : -1), n = b.size(tb ? -2 : -1);
  Shape shape = a.shape();
  shape[-2] = m, shape[-1] = n;
  Tensor y = a.context().empty(shape, a.dtype());
  const int64_t batch = m * n == 0 ? 0 : y.count() / (m * n);
  with_float(a.dtype(), "matmul", [&]<class T>() {
    if (k == 0) return y.zero();
    gemm(a.context(), Gemm{ta, tb, m, n, k, a.size(-1), b.size(-1), n, 1, 0, batch, m * k, k * n, m * n}, a.data<T>(), b.data<T>(), y.data<T>());
  });
  return y;
}

}  // namespace

Tensor MatMul::forward(const Tensor& a, const Tensor& b, Saved* kept) const {
  bool fits = a.rank() >= 2 && a.rank() == b.rank() && a.dtype() == b.dtype();
  for (int i = 0; fits && i < a.rank() - 2; ++i) fits = a.size(i) == b.size(i);
  require(fits && a.size(transpose_a ? -2 : -1) == b.size(transpose_b ? -1 : -2),
          "matmul: a is {}{} and b is {}{}; leading axes must be equal and the inner axes must match", a.shape(), transpose_a ? " transposed" : "",
          b.shape(), transpose_b ? " transposed" : "");
  same_device("matmul", a, b);
  if (kept) {
    if (kept->needs[1]) kept->a = a;
    if (kept->needs[0]) kept->b = b;
  }
  return product(a, transpose_a, b, transpose_b);
}

Grads<2> MatMul::backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const {
  g = g.compact();
  Grads<2> d;
  if (need[0]) d[0] = transpose_a ? product(kept.b, transpose_b, g, true) : product(g, false, kept.b, !transpose_b);
  if (need[1]) d[1] = transpose_b ? product(g, true, kept.a, transpose_a) : product(kept.a, !transpose_a, g, false);
  return d;
}

}  // namespace alinea
