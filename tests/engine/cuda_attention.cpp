// Attention and convolution on the GPU against the CPU at sizes of several tiles, with every mask, with dropout and on strided inputs. Skipped without
// a GPU; cuda.cpp names what is skipped.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/core/device.h"
#include "engine/ops/cached_attention.h"
#include "engine/ops/conv1d.h"
#include "engine/ops/conv2d.h"
#include "engine/ops/linear_attention.h"
#include "engine/ops/literal_attention.h"
#include "engine/ops/monotonic.h"
#include "engine/ops/softmax_attention.h"
#include "engine/ops/structured_attention.h"

using namespace alinea;

namespace {

const bool no_gpu = cuda_device_count() == 0;

// Rounded to f32, so that both precisions get the same numbers.
Tensor normal(const Shape& shape, uint64_t seed, double scale = 1) {
  Draw draw(RandomKey{seed});
  std::vector<double> v(size_t(shape.count()), 0.0);
  for (double& x : v) x = double(float(scale * draw.normal()));
  return Context::cpu().from(v.data(), shape);
}

double difference(const Tensor& got, const Tensor& want) {
  const auto a = got.values<double>(), b = want.values<double>();
  REQUIRE(a.size() == b.size());
  double worst = 0, largest = 1;
  for (const double x : b) largest = std::max(largest, std::abs(x));
  for (size_t i = 0; i < a.size(); ++i) worst = std::isnan(a[i]) != std::isnan(b[i]) ? INFINITY : std::max(worst, std::abs(a[i] - b[i]) / largest);
  return worst;
}

// Outputs and gradients of one op on both devices, in f64 and f32.
template <class Op, size_t N>
void compare(const Op& op, const std::array<Tensor, N>& inputs, double limit = 1e-12) {
  const auto run = [&](Context& context, DType dtype) {
    std::vector<Tensor> result;
    typename Op::Saved kept;
    Needs<N> needs;
    for (size_t i = 0; i < N; ++i) needs[i].wanted = bool(inputs[i]);
    if constexpr (requires { kept.needs; }) kept.needs = needs;
    std::array<Tensor, N> on_device;
    for (size_t i = 0; i < N; ++i)
      if (inputs[i]) on_device[i] = inputs[i].to(dtype).to(context);
    const Tensor y = std::apply([&](const auto&... x) { return op.forward(x..., &kept); }, on_device);
    const Tensor again = std::apply([&](const auto&... x) { return op.forward(x..., nullptr); }, on_device);
    CHECK(again.values<double>() == y.values<double>());
    result.push_back(y.to(Context::cpu()));
    for (const Tensor& d : op.backward(std::move(kept), normal(y.shape(), 77).to(dtype).to(context), needs)) result.push_back(d ? d.compact().to(Context::cpu()) : Tensor());
    return result;
  };
  const auto want = run(Context::cpu(), DType::f64);
  for (const DType dtype : {DType::f64, DType::f32}) {
    const auto got = run(Context::cuda(), dtype);
    for (size_t i = 0; i < want.size(); ++i) {
      CAPTURE(i);
      CHECK(bool(got[i]) == bool(want[i]));
      if (want[i]) CHECK(difference(got[i], want[i]) <= (dtype == DType::f64 ? limit : 2e-5));
    }
  }
}

std::array<Tensor, 3> attention_inputs(int64_t B, int64_t H, int64_t T, int64_t S, int64_t D) {
  return {normal({B, H, T, D}, 1), normal({B, H, S, D}, 2), normal({B, H, S, D}, 3)};
}

std::vector<Mask> masks(int64_t T, int64_t S) {
  Mask lengths{.source_lengths = {int32_t(S), int32_t(S / 3)}, .target_lengths = {int32_t(T / 2), int32_t(T)}};
  Mask staircase{.rule = Mask::Rule::staircase, .wait_k = 3, .ratio = 2};
  Mask chunk{.rule = Mask::Rule::chunk, .source_lengths = {int32_t(S), int32_t(S - 5)}, .chunk = 7};
  Mask given{.rule = Mask::Rule::given, .rows = T};
  for (int64_t i = 0; i < 2 * T; ++i) given.written_at.push_back(int32_t(std::min(S, i % T * (1 + i / T) / 2)));
  Mask causal = Mask::causal(2);
  causal.target_lengths = {int32_t(T), int32_t(T - 1)};
  return {{}, lengths, causal, staircase, chunk, given};
}

}  // namespace

TEST_CASE("cuda: softmax attention over several tiles under every mask" * doctest::skip(no_gpu)) {
  for (const Mask& mask : masks(70, 135)) {
    CAPTURE(mask.describe());
    compare(SoftmaxAttention{.mask = mask}, attention_inputs(2, 1, 70, 135, 5));
  }
  compare(SoftmaxAttention{.mask = Mask::causal(), .scale = 0.3, .dropout = 0.4, .key = {3}}, attention_inputs(1, 2, 67, 70, 33));
  compare(SoftmaxAttention{}, attention_inputs(1, 1, 3, 40, 130));
  compare(SoftmaxAttention{}, attention_inputs(2, 1, 0, 3, 4));
  CHECK_THROWS_AS(compare(SoftmaxAttention{}, attention_inputs(1, 1, 3, 3, 300)), Error);
}

TEST_CASE("cuda: attention of single rows, and on a cache whose columns lie apart" * doctest::skip(no_gpu)) {
  for (const Mask& mask : masks(2, 90)) compare(SoftmaxAttention{.mask = mask}, attention_inputs(2, 2, 2, 90, 40));
  compare(SoftmaxAttention{}, attention_inputs(1, 1, 1, 5, 256));
  const Tensor q = normal({4, 2, 1, 9}, 1), k = normal({3, 2, 50, 9}, 2), v = normal({3, 2, 50, 9}, 3);
  CachedAttention op{.begin = {0, 3}, .end = {50, 41}};
  const auto check = [&] {
    Context& gpu = Context::cuda();
    CHECK(difference(op.forward(q.to(gpu), k.to(gpu), v.to(gpu)), op.forward(q, k, v)) <= 1e-12);
  };
  check();
  op.columns = 50;
  for (int32_t i = 0; i < 100; ++i) op.source.push_back(i * 7 % 3);
  check();
}

TEST_CASE("cuda: inputs of attention may be views" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  const Tensor whole = normal({2, 9, 2, 4}, 6), view = whole.permute({0, 2, 1, 3}), view_on_gpu = whole.to(gpu).permute({0, 2, 1, 3});
  CHECK(!view.contiguous());
  for (const Mask& mask : {Mask{}, Mask::causal()}) {
    CHECK(difference(SoftmaxAttention{.mask = mask}.forward(view_on_gpu, view_on_gpu, view_on_gpu, nullptr), SoftmaxAttention{.mask = mask}.forward(view, view, view, nullptr)) <= 1e-12);
    CHECK(difference(LinearAttention{.mask = mask}.forward(view_on_gpu, view_on_gpu, view_on_gpu, nullptr), LinearAttention{.mask = mask}.forward(view, view, view, nullptr)) <= 1e-12);
  }
}

TEST_CASE("cuda: linear attention over several chunks under every mask" * doctest::skip(no_gpu)) {
  for (const Mask& mask : masks(70, 135)) {
    CAPTURE(mask.describe());
    compare(LinearAttention{.mask = mask}, attention_inputs(2, 1, 70, 135, 5));
  }
  for (const FeatureMap map : {FeatureMap::elu, FeatureMap::cosformer, FeatureMap::favor}) {
    LinearForm form{.map = map, .eps = 0.5, .floor = Floor::add, .scale = 0.7, .projection = {}};
    if (map == FeatureMap::favor) form.projection = favor_projection(Context::cpu(), 41, 35, RandomKey{4});
    compare(LinearAttention{.mask = Mask::causal(), .form = form}, attention_inputs(1, 2, 67, 70, 35), 1e-11);
  }
  Mask shrinking{.rule = Mask::Rule::given, .written_at = {3, 2}, .rows = 2};
  const auto x = attention_inputs(1, 1, 2, 3, 4);
  Context& gpu = Context::cuda();
  CHECK_THROWS_AS(LinearAttention{.mask = shrinking}.forward(x[0].to(gpu), x[1].to(gpu), x[2].to(gpu), nullptr), Error);
}

TEST_CASE("cuda: the weights that attention is plotted from, under every mask and from views" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  const auto check = [&](const Tensor& q, const Tensor& k, auto weights) {
    const Tensor want = weights(q.permute({0, 2, 1, 3}), k.permute({0, 2, 1, 3}));
    for (const DType dtype : {DType::f64, DType::f32}) {
      const Tensor got = weights(q.to(dtype).to(gpu).permute({0, 2, 1, 3}), k.to(dtype).to(gpu).permute({0, 2, 1, 3}));
      CHECK(&got.context() == &gpu);
      CHECK(difference(got, want) <= (dtype == DType::f64 ? 1e-12 : 2e-5));
    }
  };
  for (const Mask& mask : masks(70, 135)) {
    CAPTURE(mask.describe());
    const Tensor q = normal({2, 70, 1, 5}, 1), k = normal({2, 135, 1, 5}, 2);
    check(q, k, [&](const Tensor& a, const Tensor& b) { return attention_weights(a, b, mask); });
    check(q, k, [&](const Tensor& a, const Tensor& b) { return linear_attention_weights({.mask = mask}, a, b); });
  }
  for (const FeatureMap map : {FeatureMap::cosformer, FeatureMap::favor}) {
    LinearForm form{.map = map, .floor = Floor::add, .scale = 0.7, .projection = {}};
    if (map == FeatureMap::favor) form.projection = favor_projection(Context::cpu(), 41, 35, RandomKey{4});
    check(normal({1, 5, 2, 35}, 6), normal({1, 7, 2, 35}, 7), [&](const Tensor& a, const Tensor& b) { return linear_attention_weights({.mask = Mask::causal(), .form = form}, a, b); });
  }
  const Tensor q = normal({1, 2, 1, 300}, 3), k = normal({1, 1100, 1, 300}, 4), none = normal({1, 0, 1, 300}, 5);
  for (const Tensor& keys : {k, none}) check(q, keys, [&](const Tensor& a, const Tensor& b) { return attention_weights(a, b, {}, 0.1); });
}

TEST_CASE("cuda: decoding with the state of linear attention" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  for (const FeatureMap map : {FeatureMap::relu, FeatureMap::cosformer, FeatureMap::favor}) {
    LinearForm form{.map = map, .scale = 0.7, .projection = {}};
    if (map == FeatureMap::favor) form.projection = favor_projection(Context::cpu(), 41, 35, RandomKey{4});
    LinearAttentionState here(Context::cpu(), 2, 2, 35, DType::f64, form, 9, 5), there(gpu, 2, 2, 35, DType::f64, form, 9, 5);
    for (uint64_t n = 0; n < 3; ++n) {
      const Tensor k = normal({2, 2, 3, 35}, n), v = normal({2, 2, 3, 35}, n + 10), q = normal({2, 2, 2, 35}, n + 20);
      here.append(k, v), there.append(k.to(gpu), v.to(gpu));
      CHECK(difference(there.step(q.to(gpu), int64_t(n)), here.step(q, int64_t(n))) <= 1e-12);
      here.reorder({1, 0}), there.reorder({1, 0});
    }
  }
}

TEST_CASE("cuda: structured and literal attention with everything a pattern can have" * doctest::skip(no_gpu)) {
  StructuredPattern pattern;
  pattern.heads = {HeadPattern{.half_width = 5, .column_extent = 20, .global_rows = {3, 40}, .random_keys = 2}, HeadPattern{.half_width = 0, .block_ends = {10, 11, 70}}};
  pattern.columns = {{{0, {1, 50}}, {30, {2, 50, 60}}}, {{5, {0}}}};
  pattern.mask = Mask::causal();
  pattern.mask.source_lengths = {70, 33}, pattern.mask.target_lengths = {70, 50};
  pattern.key = {8};
  const Tensor band = normal({2, 11}, 10), column = normal({2}, 11);
  const auto x = attention_inputs(2, 2, 70, 70, 5);
  for (const Mask::Rule rule : {Mask::Rule::causal, Mask::Rule::all}) {
    pattern.mask.rule = rule;
    compare(StructuredAttention{.pattern = pattern, .dropout = 0.2, .key = {5}}, std::array<Tensor, 5>{x[0], x[1], x[2], band, column});
    compare(LiteralAttention{.pattern = pattern, .eps = 0.3, .key = {6}}, std::array<Tensor, 4>{x[2], band, column, normal({2, 90}, 12)});
  }
}

TEST_CASE("cuda: monotonic attention over rows longer than a block" * doctest::skip(no_gpu)) {
  compare(MonotonicAlpha{.source_lengths = {1100, 513}}, std::array<Tensor, 1>{normal({2, 1, 3, 1100}, 1)}, 1e-11);
  const Tensor u = normal({2, 2, 2, 1100}, 2, 30), alpha = normal({2, 1, 2, 367}, 3), own = normal({2, 2, 2, 1100}, 4);
  compare(LookbackBeta{.source_lengths = {1100, 700}, .ratio = 3}, std::array<Tensor, 2>{alpha, u}, 1e-11);
  compare(LookbackBeta{}, std::array<Tensor, 2>{own, u}, 1e-11);
  compare(ChunkBeta{.source_lengths = {1100, 700}, .width = 5, .ratio = 3}, std::array<Tensor, 2>{alpha, u}, 1e-11);
}

TEST_CASE("cuda: convolutions over several tiles, and weight gradients in parts that are added to what is there" * doctest::skip(no_gpu)) {
  compare(Conv1d{.stride = 2, .pad_left = 1, .pad_right = 1, .activation = Activation::gelu}, std::array<Tensor, 3>{normal({2, 41, 37}, 1), normal({70, 37, 3}, 2), normal({70}, 3)});
  compare(Conv1d{.pad_left = 4, .pad_right = 3, .groups = 2}, std::array<Tensor, 3>{normal({2, 300, 6}, 1), normal({4, 3, 8}, 2), Tensor()});
  compare(Conv2d{.stride = {2, 3}, .padding = {1, 2}}, std::array<Tensor, 3>{normal({2, 13, 17, 4}, 1), normal({5, 4, 3, 4}, 2), normal({5}, 3)});
  compare(Conv1d{.stride = 5}, std::array<Tensor, 3>{normal({1, 12, 2}, 1), normal({3, 2, 2}, 2), Tensor()});   // rows between the windows
  const Tensor x = normal({1, 600, 2}, 1), weight = normal({3, 2, 3}, 2), g = normal({1, 598, 3}, 3), before = normal({3, 2, 3}, 4);
  const auto gradient = [&](Context& context) {
    Conv1d::Saved kept;
    Conv1d{}.forward(x.to(context), weight.to(context), {}, &kept);
    Needs<3> need{Need{false, {}}, Need{true, before.clone().to(context)}, Need{false, {}}};
    return Conv1d{}.backward(std::move(kept), g.to(context), need)[1];
  };
  CHECK(difference(gradient(Context::cuda()), gradient(Context::cpu())) <= 1e-12);
}
