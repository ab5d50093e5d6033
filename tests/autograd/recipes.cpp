// What a product keeps when its input can be made again from what is kept anyway: the same gradients to the bit, less memory.
#include <doctest/doctest.h>

#include "autograd/dropout.h"
#include "autograd/elementwise.h"
#include "autograd/group_norm.h"
#include "autograd/layer_norm.h"
#include "autograd/matmul.h"

using namespace alinea;

namespace {

struct Values {
  Tensor x, inner, bias, outer;
};

Tensor normals(const Shape& shape, uint64_t seed) {
  Draw draw(RandomKey{seed});
  std::vector<float> v(size_t(shape.count()));
  for (float& e : v) e = float(draw.normal());
  return Context::cpu().from(v.data(), shape);
}

struct Outcome {
  std::vector<float> gradients;
  int64_t kept = 0;                                         // bytes that forward leaves alive, beyond its inputs and output
};

// dropout(act(x W + b)) V; with `copied`, V's input is another tensor, which nobody can make again.
Outcome run(const Values& v, Activation activation, double p, bool copied) {
  Context& context = v.x.context();
  const int64_t before = context.memory().live;
  Outcome out;
  Tape tape;
  const Variable x = tape.watch(v.x), inner = tape.watch(v.inner), bias = tape.watch(v.bias), outer = tape.watch(v.outer);
  Variable y;
  {
    Variable h = dropout(linear(x, inner, bias, activation), p, RandomKey{7});
    if (copied) h = add_scalar(h, 0);
    y = linear(h, outer, Variable());
  }
  out.kept = context.memory().live - before - y.value().bytes();
  tape.backward(std::span(&y, 1), {normals(y.shape(), 9)});
  for (const Variable& input : {x, inner, bias, outer})
    for (const float g : tape.grad(input).values<float>()) out.gradients.push_back(g);
  return out;
}

}  // namespace

TEST_CASE("recipes: the input of a product is made again in backward, to the bit, and is not kept") {
  const Values v{normals({64, 32}, 1), normals({256, 32}, 2), normals({256}, 3), normals({32, 256}, 4)};
  const int64_t hidden = 64 * 256 * 4;
  for (const auto& [activation, p] : {std::pair{Activation::gelu, 0.0}, {Activation::gelu, 0.3}, {Activation::relu, 0.3}}) {
    CAPTURE(p);
    const Outcome lean = run(v, activation, p, false), full = run(v, activation, p, true);
    CHECK(lean.gradients == full.gradients);
    CHECK(lean.kept == hidden);
    CHECK(full.kept == 2 * hidden);
  }
}

TEST_CASE("recipes: norms keep their input and no output, whoever reads it") {
  using Norm = std::function<Variable(const Variable&, const Variable&, const Variable&)>;
  const Norm norms[] = {
      [](const Variable& x, const Variable& w, const Variable& b) { return group_norm(x, 8, w, b); },
      [](const Variable& x, const Variable& w, const Variable& b) { return layer_norm(x, w, b); },
      [](const Variable& x, const Variable& w, const Variable& b) { return residual_layer_norm(x, x, w, b).y; },
  };
  const Values v{normals({2, 64, 16}, 1), normals({16}, 2), normals({16}, 3), normals({8, 16}, 4)};
  // linear(gelu(norm(x))); with `copied`, what gelu and the product read are other tensors, which nobody can make again.
  const auto run = [&](const Norm& norm, bool copied) {
    Outcome out;
    Tape tape;
    const Variable x = tape.watch(v.x), weight = tape.watch(v.inner), bias = tape.watch(v.bias), outer = tape.watch(v.outer);
    const int64_t before = v.x.context().memory().live;
    Variable y;
    {
      Variable h = norm(x, weight, bias);
      if (copied) h = add_scalar(h, 0);
      h = gelu(h);
      if (copied) h = add_scalar(h, 0);
      y = linear(h, outer, Variable());
    }
    out.kept = v.x.context().memory().live - before;
    tape.backward(std::span(&y, 1), {normals(y.shape(), 9)});
    for (const Variable& input : {x, weight, bias, outer})
      for (const float g : tape.grad(input).values<float>()) out.gradients.push_back(g);
    return out;
  };
  for (const Norm& norm : norms) {
    const Outcome lean = run(norm, false), full = run(norm, true);
    CHECK(lean.gradients == full.gradients);
    CHECK(full.kept - lean.kept == 2 * v.x.bytes());
  }
}

TEST_CASE("recipes: a part of a tensor has none, and a tensor that is used twice is made again twice") {
  const Tensor x = normals({16, 8}, 1), w = normals({8, 8}, 2);
  const auto gradient = [&](bool copied) {
    Tape tape;
    const Variable a = tape.watch(x), b = tape.watch(w);
    Variable h = gelu(a);
    if (copied) h = add_scalar(h, 0);
    const Variable y = add(linear(h, b, Variable()), linear(h, b, Variable()));
    tape.backward(std::span(&y, 1), {normals(y.shape(), 3)});
    return std::pair{tape.grad(a).values<float>(), tape.grad(b).values<float>()};
  };
  CHECK(gradient(false) == gradient(true));
  const Tensor y = normals({4, 4}, 5);
  leave_recipe(y, [] { return Tensor(); });
  CHECK(y.recipe());
  CHECK(y.reshape({16}).recipe());
  CHECK_FALSE(y.slice(0, 1, 3).recipe());
}
