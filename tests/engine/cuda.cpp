// Ops with CUDA kernels give on the GPU what they give on the CPU. Without a GPU these tests are skipped, and the first one says so by name.
#include <doctest/doctest.h>

#include <cmath>

#include "autograd/op_table.h"
#include "engine/blas/gemm.h"
#include "engine/core/device.h"
#include "engine/ops/accumulate.h"
#include "engine/ops/adamw.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/matmul.h"
#include "engine/ops/reduce.h"
#include "engine/ops/replace_elements.h"
#include "engine/ops/softmax.h"
#include "engine/ops/top_k.h"

using namespace alinea;

namespace {

const bool no_gpu = cuda_device_count() == 0;

// Rows of the op table that run on the GPU.
const char* const gpu_ops[] = {
    "relu", "gelu", "silu", "sigmoid", "tanh", "exp", "log", "scale", "add_scalar", "add", "sub", "mul", "div", "add_bias_gelu", "softmax", "log_softmax", "matmul", "linear",
    "reshape", "permute", "slice", "concat",
    "attention", "attention_scores", "attention_context", "chunk_beta", "conv1d", "conv2d", "literal", "lookback_beta", "monotonic_alpha", "structured_attention",
    "adamw", "alignment_variance", "average_lagging", "avg_pool_time", "code_perplexity", "codebook", "contrastive_loss", "cross_entropy", "ctc_loss", "differentiable_average_lagging", "dropout", "embedding", "expand", "expected_delay", "glu",
    "group_norm", "head_pool", "layer_norm", "mask_frames", "mean", "residual_layer_norm", "sum", "sum_to",
    "weight_norm",
};

Tensor random_input(const Fill& fill, Draw& draw) {
  std::vector<double> v(size_t(fill.shape.count()));
  for (size_t i = 0; i < v.size(); ++i) {
    const double x = draw.normal();
    v[i] = fill.kind == Fill::given           ? fill.values[i]
           : fill.kind == Fill::positive       ? 0.5 + std::abs(x)
           : fill.kind == Fill::away_from_zero ? std::copysign(0.3 + std::abs(x), x)
                                               : x;
  }
  return Context::cpu().from(v.data(), fill.shape);
}

// Outputs, then gradients of Σ w · output for w that depend on the element alone.
std::vector<std::vector<double>> outputs_and_gradients(const OpRow& row, const OpExample& example, const std::map<std::string, Tensor>& values,
                                                       Context& context, DType dtype) {
  Tape tape;
  std::map<std::string, Variable> inputs;
  for (const OpInput& input : row.inputs) {
    const auto v = values.find(input.name);
    if (v == values.end()) continue;
    const Tensor x = v->second.to(input.integer ? DType::i64 : dtype).to(context);
    inputs[input.name] = input.integer || input.constant ? Variable(x) : tape.watch(x);
  }
  const auto outputs = row.run(make_call(row, inputs, example.attributes));
  std::vector<std::vector<double>> result;
  std::vector<Tensor> weights;
  for (const Variable& y : outputs) {
    CHECK(&y.value().context() == &context);
    result.push_back(y.value().values<double>());
    std::vector<double> w(result.back().size());
    for (size_t i = 0; i < w.size(); ++i) w[i] = std::cos(double(i) + 1);
    weights.push_back(Context::cpu().from(w.data(), y.shape()).to(dtype).to(context));
  }
  if (!row.differentiable) return result;
  tape.backward(outputs, std::move(weights));
  for (const auto& [name, variable] : inputs) {
    if (!variable.needs_grad()) continue;
    const Tensor d = tape.grad(variable);
    result.push_back(d ? d.values<double>() : std::vector<double>());
  }
  return result;
}

// Largest difference, relative to the largest value (at least 1). NaN counts as infinitely wrong.
double difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0, largest = 1;
  for (const double x : b) largest = std::max(largest, std::abs(x));
  for (size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= worst * largest)) worst = a[i] - b[i] != a[i] - b[i] ? INFINITY : std::abs(a[i] - b[i]) / largest;
  return worst;
}

std::vector<double> counting(int64_t n) {
  std::vector<double> v(size_t(n), 0.0);
  for (size_t i = 0; i < v.size(); ++i) v[i] = double(i % 251);
  return v;
}

// Products of the GPU in another precision until the end of a scope.
class Products {
 public:
  explicit Products(Precision precision) { set_precision(Context::cuda(), precision); }
  ~Products() { set_precision(Context::cuda(), Precision::fp32); }
  Products(const Products&) = delete;
};

// A factor as bf16 or tf32 holds it.
Tensor as_factor(const Tensor& x, Precision precision) {
  if (precision == Precision::bf16) return x.to(DType::bf16).to(DType::f32);
  auto v = x.values<float>();
  for (float& number : v) {                                  // 11 bits of mantissa: the others drop out of a sum with a large number
    const float large = number * 0x2001p0f;
    number = large - (large - number);
  }
  return Context::cpu().from(v.data(), x.shape());
}

}  // namespace

TEST_CASE("cuda: a device that is not there is refused as a device error") {
  if (no_gpu)
    MESSAGE("SKIPPED, no GPU can be used here (", std::string(have_cuda ? "built with CUDA" : "built without CUDA"),
            "): cuda: ops equal the CPU; cuda: copies, conversions and counters; cuda: gemm equals plain loops; cuda: long rows of softmax; and of cuda_attention.cpp: softmax attention;"
            " single rows; views; linear attention; its state; structured and literal attention; monotonic attention; convolutions");
  try {
    Context::cuda(1000);
    FAIL("cuda:1000 was accepted");
  } catch (const Error& e) {
    CHECK(e.kind() == Exit::device);
    CHECK(std::string(e.what()).find("cuda") == 0);
  }
  CHECK(Context::from_name("auto").device() == (no_gpu ? Device::cpu : Device::cuda));
}

TEST_CASE("cuda: every op that is compared on the GPU has a row with examples") {
  for (const char* name : gpu_ops) CHECK_MESSAGE(!OpTable::all().find(name).examples.empty(), name);
}

TEST_CASE("cuda: ops equal the CPU, outputs and gradients, in f64 and f32" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  for (const char* name : gpu_ops) {
    const OpRow& row = OpTable::all().find(name);
    for (size_t e = 0; e < row.examples.size(); ++e) {
      CAPTURE(row.name);
      CAPTURE(e);
      Draw draw(RandomKey{11}.child(row.name).child(e));
      std::map<std::string, Tensor> values;
      for (const auto& [input, fill] : row.examples[e].inputs) values[input] = random_input(fill, draw);
      const auto want = outputs_and_gradients(row, row.examples[e], values, Context::cpu(), DType::f64);
      for (const DType dtype : {DType::f64, DType::f32}) {
        const auto got = outputs_and_gradients(row, row.examples[e], values, gpu, dtype);
        REQUIRE(got.size() == want.size());
        for (size_t i = 0; i < want.size(); ++i) CHECK(difference(got[i], want[i]) <= (dtype == DType::f64 ? 1e-12 : 2e-5));
      }
    }
  }
}

TEST_CASE("cuda: copies, conversions and counters" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  const int64_t live = gpu.memory().live;
  {
    const auto v = counting(3 * 5 * 700);
    const Tensor host = Context::cpu().from(v.data(), {3, 5, 700}), x = host.to(gpu);
    CHECK(gpu.memory().live == live + x.bytes());
    CHECK(x.values<double>() == v);
    CHECK(x.permute({2, 0, 1}).values<double>() == host.permute({2, 0, 1}).values<double>());
    for (const DType d : {DType::f32, DType::bf16, DType::i32, DType::i64, DType::u8}) CHECK(x.to(d).values<double>() == host.to(d).values<double>());
    const Tensor part = x.slice(1, 1, 3);
    part.zero();
    host.slice(1, 1, 3).zero();
    CHECK(x.values<double>() == host.values<double>());
    part.copy_from(gpu.full(part.shape(), DType::f64, 2.5));
    host.slice(1, 1, 3).copy_from(Context::cpu().full(part.shape(), DType::f64, 2.5));
    CHECK(x.values<double>() == host.values<double>());
    add_into(x, x.clone());
    CHECK(x.values<double>()[1] == 2 * v[1]);
    CHECK_THROWS_AS(add_into(x, host), Error);
    CHECK(gpu.memory().peak >= gpu.memory().live);
  }
  CHECK(gpu.memory().live == live);
}

TEST_CASE("cuda: gemm equals plain loops for every transposition, batched, with beta" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  const int64_t m = 7, n = 5, k = 9, batch = 3;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      const auto a = counting(batch * m * k), b = counting(batch * k * n), c = counting(batch * m * n);
      Gemm g{ta, tb, m, n, k, ta ? m : k, tb ? k : n, n, 0.5, 2, batch, m * k, k * n, m * n};
      const Tensor da = gpu.from(a.data(), {batch, m, k}), db = gpu.from(b.data(), {batch, k, n}), dc = gpu.from(c.data(), {batch, m, n});
      gemm(gpu, g, da.data<double>(), db.data<double>(), dc.data<double>());
      std::vector<double> want = c;
      gemm_plain(g, a.data(), b.data(), want.data());
      CHECK(difference(dc.values<double>(), want) <= 1e-12);
    }
}

TEST_CASE("cuda: products in tf32 and bf16 are those of rounded factors, f64 stays f64" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  CHECK_THROWS_AS(set_precision(Context::cpu(), Precision::bf16), Error);
  CHECK_NOTHROW(set_precision(Context::cpu(), Precision::fp32));
  Draw draw(RandomKey{3});
  const int64_t n = 37;
  for (const auto& [precision, close] : {std::pair{Precision::tf32, 2e-3}, {Precision::bf16, 2e-2}})
    for (const bool transpose : {false, true}) {
      const Tensor a = random_input({.shape = {2, n, n}}, draw), b = random_input({.shape = {2, n, n}}, draw);
      const Gemm g{transpose, !transpose, n, n, n, n, n, n, 0.5, 2, 2, n * n, n * n, n * n};
      auto product = [&](const Tensor& x, const Tensor& y) {
        const Tensor there_x = x.to(gpu), there_y = y.to(gpu), z = gpu.full({2, n, n}, x.dtype(), 1);
        with_float(x.dtype(), "test", [&]<class T>() { gemm(gpu, g, there_x.data<T>(), there_y.data<T>(), z.data<T>()); });
        return z.values<double>();
      };
      const Tensor x = a.to(DType::f32), y = b.to(DType::f32);
      const auto exact = product(a, b), fp32 = product(x, y), of_rounded = product(as_factor(x, precision), as_factor(y, precision));
      const Products in(precision);
      CHECK(precision_of(gpu) == precision);
      const auto got = product(x, y);
      CHECK(difference(got, fp32) > close / 1000);
      CHECK(difference(got, fp32) <= close);
      CHECK(difference(got, of_rounded) <= 1e-6);            // a GPU rounds and adds in an order of its own
      if (gpu.name().find("emulated") != std::string::npos) CHECK(got == of_rounded);
      CHECK(product(a, b) == exact);
    }
}

TEST_CASE("cuda: linear and matmul in bf16 are near the CPU, outputs and gradients" * doctest::skip(no_gpu)) {
  const Products in(Precision::bf16);
  double worst = 0;
  for (const char* name : {"linear", "matmul"}) {
    const OpRow& row = OpTable::all().find(name);
    for (size_t e = 0; e < row.examples.size(); ++e) {
      CAPTURE(row.name);
      CAPTURE(e);
      Draw draw(RandomKey{12}.child(row.name).child(e));
      std::map<std::string, Tensor> values;
      for (const auto& [input, fill] : row.examples[e].inputs) values[input] = random_input(fill, draw);
      const auto want = outputs_and_gradients(row, row.examples[e], values, Context::cpu(), DType::f64);
      const auto got = outputs_and_gradients(row, row.examples[e], values, Context::cuda(), DType::f32);
      REQUIRE(got.size() == want.size());
      for (size_t i = 0; i < want.size(); ++i) {
        CHECK(difference(got[i], want[i]) <= 2e-2);
        worst = std::max(worst, difference(got[i], want[i]));
      }
    }
  }
  CHECK(worst > 1e-4);                                       // they were computed in bf16
}

TEST_CASE("cuda: linear with weights stored as bf16, few rows and many, wherever they lie in memory" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  Draw draw(RandomKey{13});
  const Shape sizes[] = {{1, 1}, {7, 3}, {4, 16}, {5, 17}, {33, 64}, {131, 100}, {66, 1031}, {6, 1040}};   // [O, C]
  for (const Shape& size : sizes)
    for (const int64_t rows : {0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 40})
      for (const int64_t skipped : {0, 1}) {                 // numbers in front of x and of the weights
        CAPTURE(size.str());
        CAPTURE(rows);
        const int64_t O = size[0], C = size[1];
        const Activation a = rows % 3 == 0 ? Activation::none : rows % 3 == 1 ? Activation::relu : Activation::gelu;
        auto part = [&](const Shape& shape, DType dtype, Context& where) {
          return random_input({.shape = {skipped + shape.count()}}, draw).to(dtype).to(where).slice(0, skipped, skipped + shape.count()).reshape(shape);
        };
        const Tensor x = part({rows, C}, DType::f32, gpu), w = part(size, DType::bf16, gpu), b = rows % 2 == 0 ? Tensor() : part({O}, DType::f32, gpu);
        const Tensor y = Linear{a}.forward(x, w, b, nullptr);
        const auto want = Linear{a}.forward(x.to(Context::cpu()).to(DType::f64), w.to(Context::cpu()).to(DType::f64), b ? b.to(Context::cpu()).to(DType::f64) : b, nullptr);
        REQUIRE(y.shape() == want.shape());
        CHECK(difference(y.values<double>(), want.values<double>()) <= 1e-6);
      }
}

TEST_CASE("cuda: long rows of softmax, and rows that a mask leaves nothing to" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  for (const int64_t n : {31, 33, 1024, 1025, 5000}) {
    CAPTURE(n);
    auto v = counting(4 * n);
    for (int64_t i = 0; i < n; ++i) v[size_t(2 * n + i)] = -INFINITY;
    v[size_t(3 * n)] = -INFINITY;
    const Tensor x = Context::cpu().from(v.data(), {4, n}), g = Context::cpu().from(counting(4 * n).data(), {4, n});
    Softmax::Saved here, there;
    CHECK(difference(Softmax{}.forward(x.to(gpu), &there).values<double>(), Softmax{}.forward(x, &here).values<double>()) <= 1e-12);
    CHECK(difference(Softmax{}.backward(std::move(there), g.to(gpu), {})[0].values<double>(), Softmax{}.backward(std::move(here), g.clone(), {})[0].values<double>()) <= 1e-12);
    LogSoftmax::Saved log_here, log_there;
    const auto got = LogSoftmax{}.forward(x.to(gpu), &log_there).values<double>(), want = LogSoftmax{}.forward(x, &log_here).values<double>();
    for (size_t i = 0; i < got.size(); ++i) CHECK((got[i] == want[i] || std::abs(got[i] - want[i]) <= 1e-10));
    CHECK(difference(LogSoftmax{}.backward(std::move(log_there), g.to(gpu), {})[0].values<double>(),
                     LogSoftmax{}.backward(std::move(log_here), g.clone(), {})[0].values<double>()) <= 1e-10);
  }
}

TEST_CASE("cuda: tensors without elements" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  const Tensor x = gpu.empty({0, 5}, DType::f32);
  CHECK(Softmax{}.forward(x, nullptr).values<double>().empty());
  CHECK(x.to(DType::f64).clone().values<double>().empty());
  for (const double v : sum_over(x, {1, 5}).values<double>()) CHECK(v == 0);
  CHECK(l2_norm(x).item() == 0);
}

TEST_CASE("cuda: the best of rows with equal, infinite and missing numbers, and the logarithm of their sum" * doctest::skip(no_gpu)) {
  for (const int64_t n : {5, 33, 3000}) {
    auto v = counting(3 * n);                                // every number stands several times in a long row
    for (int64_t i = 0; i < n; ++i) v[size_t(n + i)] = i == 1 ? 2.5 : -INFINITY;
    v[size_t(2 * n)] = NAN;
    const Tensor x = Context::cpu().from(v.data(), {3, n});
    for (const bool log_sum : {false, true}) {
      const TopK op{.k = 5, .log_sum = log_sum};
      const auto got = op.forward(x.to(Context::cuda())), want = op.forward(x);
      for (size_t i = 0; i < want.entries.size(); ++i) {
        CHECK(got.entries[i].value == want.entries[i].value);
        CHECK(got.entries[i].column == want.entries[i].column);
      }
      REQUIRE(got.log_sums.size() == want.log_sums.size());
      for (size_t r = 0; r < want.log_sums.size() && r < 2; ++r) CHECK(std::abs(got.log_sums[r] - want.log_sums[r]) <= 1e-9);
    }
  }
}

TEST_CASE("cuda: sums, norms and losses of many elements and long rows" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  for (const int64_t n : {1, 1023, 3001}) {
    CAPTURE(n);
    const Tensor x = Context::cpu().from(counting(70 * n).data(), {70, n}), y = x.to(gpu);
    CHECK(l2_norm(y).item() == doctest::Approx(l2_norm(x).item()).epsilon(1e-13));
    for (const Shape& shape : {Shape{1, 1}, Shape{70, 1}, Shape{1, n}}) CHECK(difference(sum_over(y, shape).values<double>(), sum_over(x, shape).values<double>()) <= 1e-12);
    Draw draw(RandomKey{5});
    std::vector<int64_t> ids(70);
    for (int64_t& id : ids) id = draw.integer(0, n - 1);
    const Tensor target = Context::cpu().from(ids.data(), {70});
    CrossEntropy::Saved here, there;
    const CrossEntropy op{.smoothing = 0.1};
    CHECK(difference(op.forward(y.clone(), target, &there).values<double>(), op.forward(x.clone(), target, &here).values<double>()) <= 1e-12);
    const Tensor one = Context::cpu().full({}, DType::f64, 1);
    CHECK(difference(op.backward(std::move(there), one.to(gpu), {})[0].values<double>(), op.backward(std::move(here), one.clone(), {})[0].values<double>()) <= 1e-12);
  }
}

TEST_CASE("cuda: elements are replaced and given back" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  const auto v = counting(3 * 700);
  const Tensor x = gpu.from(v.data(), {3, 700}), y = Context::cpu().from(v.data(), {3, 700});
  std::vector<int64_t> places;
  for (int64_t i = 0; i < 3 * 700; i += 1 + i % 5) places.push_back(i);
  CHECK(replace_elements(x, places, -INFINITY) == replace_elements(y, places, -INFINITY));
  CHECK(x.values<double>() == y.values<double>());
  CHECK(replace_elements(x, {}, 1).empty());
  CHECK_THROWS_AS(replace_elements(x, {2100}, 1), Error);
}
