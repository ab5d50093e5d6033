// Single operations, forward and with gradients.
#include <fmt/core.h>

#include <memory>

#include "apps/bench/work.h"
#include "autograd/conv1d.h"
#include "autograd/cross_entropy.h"
#include "autograd/dropout.h"
#include "autograd/elementwise.h"
#include "autograd/embedding.h"
#include "autograd/layer_norm.h"
#include "autograd/matmul.h"
#include "autograd/softmax.h"
#include "data/features/log_mel.h"
#include "engine/ops/adamw.h"

namespace alinea {

namespace {

using Inputs = std::span<const Variable>;

// A product with a gradient for both factors costs three times the forward.
void add_product(std::vector<Work>& works, FunctionWork w, double flops) {
  w.forward.flops = flops;
  w.both.flops = 3 * flops;
  add(works, w);
}

// Passes over an array of `count` floats: the least that must be read and written.
void add_passes(std::vector<Work>& works, FunctionWork w, double count, double forward, double both) {
  w.forward.bytes = 4 * count * forward;
  w.both.bytes = 4 * count * both;
  add(works, w);
}

std::function<std::vector<Tensor>(Context&)> normal(std::vector<Shape> shapes) {
  return [shapes](Context& c) {
    std::vector<Tensor> t;
    for (const Shape& s : shapes) t.push_back(normals(c, s, t.size()));
    return t;
  };
}

void products(std::vector<Work>& works) {
  for (const int64_t n : {512, 2048})
    add_product(works,
                {.what = "ops/gemm",
                 .size = fmt::format("{}", n),
                 .shape = fmt::format("[{0},{0}] x [{0},{0}]", n),
                 .inputs = normal({{n, n}, {n, n}}),
                 .function = always([](Inputs x) { return matmul(x[0], x[1]); })},
                2.0 * double(n * n * n));
  add_product(works,
              {.what = "ops/bmm",
               .size = "64x128x64x128",
               .shape = "batch 64 of [128,64] x [64,128]",
               .inputs = normal({{64, 128, 64}, {64, 64, 128}}),
               .function = always([](Inputs x) { return matmul(x[0], x[1]); })},
              2.0 * 64 * 128 * 64 * 128);
  add_product(works,
              {.what = "ops/linear",
               .size = "4096x512x2048",
               .shape = "x [4096,512], weight [2048,512], bias",
               .inputs = normal({{4096, 512}, {2048, 512}, {2048}}),
               .function = always([](Inputs x) { return linear(x[0], x[1], x[2]); })},
              2.0 * 4096 * 512 * 2048);
}

void rows_and_elements(std::vector<Work>& works) {
  add_passes(works,
             {.what = "ops/layernorm",
              .size = "4096x512",
              .shape = "x [4096,512], weight and bias",
              .inputs = normal({{4096, 512}, {512}, {512}}),
              .function = always([](Inputs x) { return layer_norm(x[0], x[1], x[2]); })},
             4096 * 512, 2, 5);
  add_passes(works,
             {.what = "ops/softmax",
              .size = "4096x1024",
              .shape = "x [4096,1024], rows",
              .inputs = normal({{4096, 1024}}),
              .function = always([](Inputs x) { return softmax(x[0]); })},
             4096 * 1024, 2, 5);
  add_passes(works,
             {.what = "ops/gelu",
              .size = "4096x2048",
              .shape = "x [4096,2048], erf form",
              .inputs = normal({{4096, 2048}}),
              .function = always([](Inputs x) { return gelu(x[0]); })},
             4096 * 2048, 2, 5);
  add_passes(works,
             {.what = "ops/add-bias-gelu",
              .size = "4096x2048",
              .shape = "gelu(x + residual + bias), x [4096,2048]",
              .inputs = normal({{4096, 2048}, {4096, 2048}, {2048}}),
              .function = always([](Inputs x) { return add_bias_gelu(x[0], x[1], x[2]); })},
             4096 * 2048, 3, 7);
  add_passes(works,
             {.what = "ops/embedding",
              .size = "32000x512",
              .shape = "8192 ids into [32000,512]; dense gradient",
              .inputs = normal({{32000, 512}}),
              .function = [](Context& c) -> Function {
                return [ids = random_ids(c, {8192}, 4, 32000, 1)](Inputs x) { return embedding(x[0], ids); };
              }},
             8192 * 512, 2, 3 + 32000.0 / 8192);
  add_passes(works,
             {.what = "ops/cross-entropy",
              .size = "1024x32000",
              .shape = "logits [1024,32000], label smoothing 0.1, mean",
              .inputs = normal({{1024, 32000}}),
              .function = [](Context& c) -> Function {
                return [y = random_ids(c, {1024}, 4, 32000, 2)](Inputs x) { return cross_entropy(x[0], y, {.smoothing = 0.1}); };
              }},
             1024 * 32000, 1, 3);
}

void convolutions(std::vector<Work>& works) {
  add_product(works,
              {.what = "ops/conv1d",
               .size = "1-512-k10-s5-16000",
               .shape = "x [1,16000,1] -> [1,3199,512], no bias",
               .inputs = normal({{1, 16000, 1}, {512, 1, 10}}),
               .function = always([](Inputs x) { return conv1d(x[0], x[1], {}, {.stride = 5}); })},
              2.0 * 3199 * 512 * 10);
  add_product(works,
              {.what = "ops/conv1d",
               .size = "512-512-k3-s2-3199",
               .shape = "x [1,3199,512] -> [1,1599,512], no bias",
               .inputs = normal({{1, 3199, 512}, {512, 512, 3}}),
               .function = always([](Inputs x) { return conv1d(x[0], x[1], {}, {.stride = 2}); })},
              2.0 * 1599 * 512 * 512 * 3);
  add_product(works,
              {.what = "ops/conv1d-grouped",
               .size = "768-k128-g16-500",
               .shape = "x [1,500,768], 16 groups, padding 64 before and 63 after",
               .inputs =
                   [](Context& c) {
                     return std::vector{normals(c, {1, 500, 768}, 0), normals(c, {768, 48, 128}, 1, 0.02), normals(c, {768}, 2)};
                   },
               .function = always([](Inputs x) { return conv1d(x[0], x[1], x[2], {.pad_left = 64, .pad_right = 63, .groups = 16}); })},
              2.0 * 500 * 768 * 48 * 128);
}

Step adamw(Context& c) {
  struct State {
    Tensor p, g, m, v;
    AdamW options{.lr = 1e-4, .weight_decay = 0.01};
  };
  constexpr int64_t n = 80 * 500 * 500;
  auto s = std::make_shared<State>(State{normals(c, {n}, 0), normals(c, {n}, 1), c.zeros({n}, DType::f32), c.zeros({n}, DType::f32)});
  return [s] {
    adamw_step(s->options, s->p, s->g, s->m, s->v, {}, 0, n);
    ++s->options.step;
  };
}

Step log_mel(Context& c) {
  require(c.device() == Device::cpu, "logmel: computed on the CPU");
  const Tensor wave = normals(c, {160000}, 0, 3000), out = c.empty({998, 80}, DType::f32);
  auto mel = std::make_shared<LogMel>(LogMelOptions{.unit_scale = false});
  return [=] { mel->compute({wave.data<float>(), 160000}, out.data<float>()); };
}

}  // namespace

std::vector<Work> ops_works() {
  std::vector<Work> works;
  products(works);
  rows_and_elements(works);
  convolutions(works);
  auto step = std::make_shared<uint64_t>(0);
  add_passes(works,
             {.what = "ops/dropout",
              .size = "4096x512",
              .shape = "x [4096,512], p 0.1",
              .inputs = normal({{4096, 512}}),
              .function = always([step](Inputs x) { return dropout(x[0], 0.1, RandomKey{1}.child(++*step)); })},
             4096 * 512, 2, 4);
  works.push_back({.name = "ops/adamw/step/20M",
                   .shape = "20 million values in one buffer, fp32, weight decay 0.01",
                   .form = "flat",
                   .cost = {.bytes = 4.0 * 7 * 20e6},
                   .make = adamw});
  works.push_back({.name = "ops/logmel/fwd/10s", .shape = "160000 samples -> [998,80]", .make = log_mel});
  return works;
}

}  // namespace alinea
