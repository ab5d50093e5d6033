// Attention, B 1, H 8, D 64: softmax, linear (ReLU features, the row sum kept above 0.1) and cosFormer, whole passes and decoding row by row;
// and a sliding window with global columns, H 1.
#include <fmt/core.h>

#include <memory>

#include "apps/bench/work.h"
#include "autograd/linear_attention.h"
#include "autograd/softmax_attention.h"
#include "autograd/structured_attention.h"
#include "nn/attention/key_value_cache.h"

namespace alinea {

namespace {

using Inputs = std::span<const Variable>;
constexpr int64_t H = 8, D = 64;

std::vector<Tensor> qkv(Context& c, int64_t rows, int64_t columns) {
  return {normals(c, {1, H, rows, D}, 0), normals(c, {1, H, columns, D}, 1), normals(c, {1, H, columns, D}, 2)};
}

void add_attention(std::vector<Work>& works, const std::string& name, const std::string& form, int64_t n, int64_t rows, WorkCost forward,
                   WorkCost both, Function f) {
  const std::string shape = rows == n ? fmt::format("B 1, H 8, D 64, N {}", n) : fmt::format("B 1, H 8, D 64, T {}/2, S {}", n, n);
  add(works, {.what = "attention/" + name,
              .size = fmt::format("{}", n),
              .shape = shape,
              .form = form,
              .forward = forward,
              .both = both,
              .inputs = [=](Context& c) { return qkv(c, rows, n); },
              .function = always(std::move(f))});
}

// 8192 rows and keys, 32 keys on each side, 16 columns that every row reads.
FunctionWork window() {
  constexpr int64_t n = 8192, columns = 16;
  StructuredAttention op;
  op.pattern.heads[0].half_width = 32;
  op.pattern.columns = {{{0, {}}}};
  for (int64_t c = 0; c < columns; ++c) op.pattern.columns[0][0].columns.push_back(int32_t(c * (n / columns) + n / columns / 2));
  const double pair = 4.0 * double(op.pattern.pairs(0, 0, n, n)) * D;
  return {.what = "attention/window",
          .size = "8192-w32-c16",
          .shape = "B 1, H 1, D 64, n 8192, 32 each side, 16 global columns",
          .form = "tiles",
          .forward = {.flops = pair},
          .both = {.flops = 3.5 * pair},
          .inputs = [](Context& c) { return std::vector{normals(c, {1, 1, n, D}, 0), normals(c, {1, 1, n, D}, 1), normals(c, {1, 1, n, D}, 2)}; },
          .function = always([op](Inputs x) { return structured_attention(x[0], x[1], x[2], {}, {}, op); })};
}

// One row at a time; the rows are put together at the end as in a whole pass.
template <class F>
Step decode(Context& c, int64_t steps, F make_step) {
  const auto x = qkv(c, steps, steps);
  return [&c, x, steps, make_step] {
    auto step = make_step();
    const Tensor out = c.empty({1, H, steps, D}, DType::f32);
    for (int64_t t = 0; t < steps; ++t)
      out.slice(2, t, t + 1).copy_from(step(x[0].slice(2, t, t + 1), x[1].slice(2, t, t + 1), x[2].slice(2, t, t + 1)));
  };
}

Step decode_linear(Context& c) {
  return decode(c, 1000, [&c] {
    return [state = LinearAttentionState(c, 1, H, D, DType::f32)](const Tensor& q, const Tensor& k, const Tensor& v) mutable {
      state.append(k, v);
      return state.step(q);
    };
  });
}

Step decode_softmax(Context& c) {
  return decode(c, 1000, [&c] {
    return
        [cache = std::make_shared<KeyValueCache>(c, DecodeStart{.batch = 1, .capacity = 1000, .lengths = {}, .extents = {}})](const Tensor& q, const Tensor& k, const Tensor& v) {
          cache->append({k, v, {}});
          return cache->attend(q);
        };
  });
}

// One row after n columns: how a step's time grows with what has been seen.
Work step_after(const std::string& name, const std::string& form, int64_t n, std::function<Step(Context&)> make) {
  return {.name = fmt::format("attention/{}/step/{}", name, n), .shape = fmt::format("B 1, H 8, D 64; one row after {} columns", n), .form = form, .make = std::move(make)};
}

Step linear_step(Context& c, int64_t n) {
  const auto x = qkv(c, 1, n);
  auto state = std::make_shared<LinearAttentionState>(c, 1, H, D, DType::f32);
  state->append(x[1], x[2]);
  return [state, q = x[0]] { state->step(q); };
}

Step softmax_step(Context& c, int64_t n) {
  const auto x = qkv(c, 1, n);
  auto cache = std::make_shared<KeyValueCache>(c, DecodeStart{.batch = 1, .capacity = n, .lengths = {}, .extents = {}});
  cache->append({x[1], x[2], {}});
  return [cache, q = x[0]] { cache->attend(q); };
}

}  // namespace

std::vector<Work> attention_works() {
  std::vector<Work> works;
  const LinearAttention causal{.mask = Mask::causal(), .form = {}}, full{};
  for (const int64_t n : {256, 1024, 4096}) {  // two products forward, five more backward; half of each under the causal mask
    const double map = 2.0 * H * double(n) * double(n) * D;
    add_attention(works, "softmax-causal", "tiles", n, n, {.flops = map}, {.flops = 3.5 * map},
                  [](Inputs x) { return softmax_attention(x[0], x[1], x[2], {.mask = Mask::causal()}); });
    add_attention(works, "softmax-full", "tiles", n, n, {.flops = 2 * map}, {.flops = 7 * map},
                  [](Inputs x) { return softmax_attention(x[0], x[1], x[2], {}); });
  }
  for (const int64_t n : {256, 1024, 4096})  // k vᵀ into the state and q on it; what a tile does besides is not counted
    add_attention(works, "linear-causal", "state", n, n, {.flops = 4.0 * H * double(n) * D * D}, {.flops = 12.0 * H * double(n) * D * D},
                  [causal](Inputs x) { return linear_attention(x[0], x[1], x[2], causal); });
  LinearAttention cosine = causal;
  cosine.form.map = FeatureMap::cosformer;
  for (const int64_t n : {256, 1024, 4096})  // twice the features
    add_attention(works, "cosformer-causal", "state", n, n, {.flops = 8.0 * H * double(n) * D * D}, {.flops = 24.0 * H * double(n) * D * D},
                  [cosine](Inputs x) { return linear_attention(x[0], x[1], x[2], cosine); });
  for (const int64_t n : {256, 1024, 4096})
    add_attention(works, "linear-cross", "state", n, n / 2, {.flops = 3.0 * H * double(n) * D * D}, {.flops = 9.0 * H * double(n) * D * D},
                  [full](Inputs x) { return linear_attention(x[0], x[1], x[2], full); });
  add(works, window());
  works.push_back({.name = "attention/decode-linear/fwd/1000-steps",
                   .shape = "B 1, H 8, D 64; ms for all 1000 steps",
                   .form = "state",
                   .cost = {.flops = 4.0 * H * 1000 * D * D},
                   .make = decode_linear});
  works.push_back({.name = "attention/decode-softmax/fwd/1000-steps",
                   .shape = "B 1, H 8, D 64; ms for all 1000 steps",
                   .form = "preallocated",
                   .cost = {.flops = 4.0 * H * 1000 * 500 * D},
                   .make = decode_softmax});
  for (const int64_t n : {1000, 4000, 16000}) {
    works.push_back(step_after("decode-linear", "state", n, [n](Context& c) { return linear_step(c, n); }));
    works.push_back(step_after("decode-softmax", "preallocated", n, [n](Context& c) { return softmax_step(c, n); }));
  }
  return works;
}

}  // namespace alinea
