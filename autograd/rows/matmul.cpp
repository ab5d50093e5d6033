#include "autograd/matmul.h"

#include "autograd/rows/rows.h"

namespace alinea {

namespace {

Activation activation_of(const std::string& name) {
  if (name.empty() || name == "none") return Activation::none;
  if (name == "relu") return Activation::relu;
  if (name == "gelu") return Activation::gelu;
  fail(Exit::usage, "linear: activation '{}' is not one of none, relu, gelu", name);
}

}  // namespace

void register_matmul_rows(OpTable& table) {
  table.add({.name = "linear",
             .formula = "y = act(x Wᵀ + b)",
             .inputs = {{"x", "[..., C]"}, {"weight", "[O, C]"}, {"bias", "[O]", true}},
             .attributes = {{"activation", "none", "none, relu or gelu"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{linear(c.in("x"), c.in("weight"), c.in("bias"), activation_of(c.text("activation")))}; },
             .examples = {{{{"x", {{2, 3, 5}}}, {"weight", {{7, 5}}}, {"bias", {{7}}}}, {}},
                          {{{"x", {{1, 1}}}, {"weight", {{1, 1}}}}, {}},
                          {{{"x", {{33, 4}}}, {"weight", {{19, 4}}}, {"bias", {{19}}}}, {{"activation", "gelu"}}},
                          {{{"x", {{3, 4}}}, {"weight", {{6, 4}}}, {"bias", {{6}}}}, {{"activation", "relu"}}}}});
  table.add({.name = "matmul",
             .formula = "y = op(a) op(b)",
             .inputs = {{"a", "[..., M, K]"}, {"b", "[..., K, N]"}},
             .attributes = {{"transpose_a", "false", "a is [..., K, M]"}, {"transpose_b", "false", "b is [..., N, K]"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{matmul(c.in("a"), c.in("b"), c.flag("transpose_a"), c.flag("transpose_b"))}; },
             .examples = {{{{"a", {{3, 5}}}, {"b", {{5, 4}}}}, {}},
                          {{{"a", {{2, 3, 5, 2}}}, {"b", {{2, 3, 5, 4}}}}, {{"transpose_a", "true"}}},
                          {{{"a", {{2, 2, 5}}}, {"b", {{2, 7, 5}}}}, {{"transpose_b", "true"}}},
                          {{{"a", {{5, 2}}}, {"b", {{3, 5}}}}, {{"transpose_a", "true"}, {"transpose_b", "true"}}}}});
}

}  // namespace alinea
