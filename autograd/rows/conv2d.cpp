#include "autograd/conv2d.h"

#include "autograd/rows/numbers.h"
#include "autograd/rows/rows.h"

namespace alinea {

namespace {

// "2": both axes; "2,1": rows, columns.
std::array<int64_t, 2> pair_of(const OpCall& c, const std::string& name) {
  const auto v = numbers_of(c, name);
  require(v.size() == 1 || v.size() == 2, "conv2d: {} '{}' must be one number or two: rows, columns", name, c.text(name));
  return {v.front(), v.back()};
}

std::vector<Variable> run(const OpCall& c) {
  const std::string name = c.text("activation");
  require(name.empty() || name == "none" || name == "relu" || name == "gelu", "conv2d: activation '{}' is not one of none, relu, gelu",
          name);
  const Conv2d op{.stride = pair_of(c, "stride"),
                  .padding = pair_of(c, "padding"),
                  .activation = name == "relu"   ? Activation::relu
                                : name == "gelu" ? Activation::gelu
                                                 : Activation::none};
  return {conv2d(c.in("x"), c.in("weight"), c.in("bias"), op)};
}

}  // namespace

void register_conv2d_rows(OpTable& table) {
  table.add(
      {.name = "conv2d",
       .formula = "y[b, i, j, o] = act(bias[o] + Σ_{m, n, c} w[o, c, m, n] x[b, i · stride + m − padding, j · stride + n − padding, c])",
       .inputs = {{"x", "[B, H, W, C]"}, {"weight", "[O, C, M, N]"}, {"bias", "[O]", true}},
       .attributes = {{"stride", "1", "steps between two windows; two numbers: rows, columns"},
                      {"padding", "0", "zeros on both sides; two numbers: rows, columns"},
                      {"activation", "none", "none, relu or gelu"}},
       .outputs = {"y"},
       .run = run,
       .examples = {{{{"x", {{1, 1, 1, 1}}}, {"weight", {{1, 1, 1, 1}}}}, {}},
                    {{{"x", {{2, 7, 5, 3}}}, {"weight", {{4, 3, 3, 3}}}, {"bias", {{4}}}}, {{"stride", "2"}, {"padding", "1"}}},
                    {{{"x", {{2, 10, 8, 1}}}, {"weight", {{3, 1, 3, 3}}}, {"bias", {{3}}}},
                     {{"stride", "2"}, {"padding", "1"}, {"activation", "gelu"}}},
                    {{{"x", {{1, 9, 6, 2}}}, {"weight", {{2, 2, 4, 2}}}}, {{"stride", "3,1"}, {"padding", "0,2"}}},
                    {{{"x", {{2, 6, 5, 16}}}, {"weight", {{2, 16, 3, 3}}}, {"bias", {{2}}}},
                     {{"stride", "2"}, {"padding", "1"}, {"activation", "relu"}}},
                    {{{"x", {{1, 7, 4, 20}}}, {"weight", {{2, 20, 2, 4}}}}, {{"stride", "3,2"}, {"padding", "1"}}},
                    {{{"x", {{1, 8, 3, 20}}}, {"weight", {{2, 20, 5, 2}}}, {"bias", {{2}}}}, {{"stride", "1,3"}, {"padding", "4,1"}}}}});
}

}  // namespace alinea
