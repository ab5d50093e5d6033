#include "autograd/conv1d.h"

#include "autograd/rows/rows.h"

namespace alinea {

namespace {

std::vector<Variable> run(const OpCall& c) {
  const std::string name = c.text("activation");
  require(name.empty() || name == "none" || name == "relu" || name == "gelu", "conv1d: activation '{}' is not one of none, relu, gelu", name);
  Conv1d op{.stride = c.integer("stride"), .pad_left = c.integer("padding"), .pad_right = c.integer("padding"), .groups = c.integer("groups")};
  if (!c.text("pad_left").empty()) op.pad_left = c.integer("pad_left");
  if (!c.text("pad_right").empty()) op.pad_right = c.integer("pad_right");
  op.activation = name == "relu" ? Activation::relu : name == "gelu" ? Activation::gelu : Activation::none;
  return {conv1d(c.in("x"), c.in("weight"), c.in("bias"), op)};
}

}  // namespace

void register_conv1d_rows(OpTable& table) {
  table.add({.name = "conv1d",
             .formula = "y[b, t, o] = act(bias[o] + Σ_{k, c} w[o, c, k] x[b, t · stride + k − pad_left, c])",
             .inputs = {{"x", "[B, T, C]"}, {"weight", "[O, C/groups, K]"}, {"bias", "[O]", true}},
             .attributes = {{"stride", "1", "rows between two windows"},
                            {"padding", "0", "zero rows on both sides"},
                            {"groups", "1", "channels are cut into independent groups"},
                            {"pad_left", "none", "zero rows before, instead of padding; causal: K - 1"},
                            {"pad_right", "none", "zero rows after, instead of padding"},
                            {"activation", "none", "none, relu or gelu"}},
             .outputs = {"y"},
             .run = run,
             .examples = {{{{"x", {{2, 7, 3}}}, {"weight", {{4, 3, 3}}}, {"bias", {{4}}}}, {{"padding", "1"}}},
                          {{{"x", {{1, 1, 1}}}, {"weight", {{1, 1, 1}}}}, {}},
                          {{{"x", {{3, 9, 2}}}, {"weight", {{5, 2, 5}}}, {"bias", {{5}}}}, {{"stride", "2"}, {"pad_left", "4"}, {"pad_right", "0"}, {"activation", "gelu"}}},
                          {{{"x", {{2, 10, 1}}}, {"weight", {{3, 1, 4}}}}, {{"stride", "3"}}},
                          {{{"x", {{2, 6, 6}}}, {"weight", {{4, 3, 4}}}, {"bias", {{4}}}}, {{"groups", "2"}, {"padding", "2"}, {"activation", "relu"}}},
                          {{{"x", {{1, 8, 4}}}, {"weight", {{4, 1, 2}}}}, {{"groups", "4"}, {"stride", "4"}}},
                          {{{"x", {{2, 14, 16}}}, {"weight", {{16, 8, 33}}}, {"bias", {{16}}}}, {{"groups", "2"}, {"pad_left", "16"}, {"pad_right", "13"}}},
                          {{{"x", {{2, 120, 1}}}, {"weight", {{2, 1, 3}}}, {"bias", {{2}}}}, {{"stride", "2"}, {"padding", "1"}}}}});
}

}  // namespace alinea
