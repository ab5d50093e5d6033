#include "autograd/elementwise.h"

#include "autograd/rows/rows.h"

namespace alinea {

namespace {

OpRow unary(const std::string& name, const std::string& formula, Variable (*f)(const Variable&), Fill::Kind kind = Fill::normal) {
  return {.name = name,
          .formula = formula,
          .inputs = {{"x", "[...]"}},
          .attributes = {},
          .outputs = {"y"},
          .run = [f](const OpCall& c) { return std::vector{f(c.in("x"))}; },
          .examples = {{{{"x", {{1}, kind}}}, {}}, {{{"x", {{3, 7}, kind}}}, {}}, {{{"x", {{2, 3, 11}, kind}}}, {}}}};
}

OpRow binary(const std::string& name, const std::string& formula, Variable (*f)(const Variable&, const Variable&), Fill::Kind b = Fill::normal) {
  return {.name = name,
          .formula = formula,
          .inputs = {{"a", "[...]"}, {"b", "[...]"}},
          .attributes = {},
          .outputs = {"y"},
          .run = [f](const OpCall& c) { return std::vector{f(c.in("a"), c.in("b"))}; },
          .examples = {{{{"a", {{1}}}, {"b", {{1}, b}}}, {}}, {{{"a", {{3, 7}}}, {"b", {{3, 7}, b}}}, {}}, {{{"a", {{2, 3, 4}}}, {"b", {{2, 3, 4}, b}}}, {}}}};
}

// One attribute that is a number.
OpRow with_number(const std::string& name, const std::string& formula, const std::string& attribute, Variable (*f)(const Variable&, double)) {
  return {.name = name,
          .formula = formula,
          .inputs = {{"x", "[...]"}},
          .attributes = {{attribute, "", "a number"}},
          .outputs = {"y"},
          .run = [f, attribute](const OpCall& c) { return std::vector{f(c.in("x"), c.number(attribute))}; },
          .examples = {{{{"x", {{1}}}}, {{attribute, "2.5"}}}, {{{"x", {{3, 7}}}}, {{attribute, "-1"}}}}};
}

}  // namespace

void register_elementwise_rows(OpTable& table) {
  table.add(unary("relu", "y = max(x, 0)", relu, Fill::away_from_zero));
  table.add(unary("gelu", "y = x Φ(x)", gelu));
  table.add(unary("silu", "y = x σ(x)", silu));
  table.add(unary("sigmoid", "y = 1 / (1 + e^-x)", sigmoid));
  table.add(unary("tanh", "y = tanh x", tanh));
  table.add(unary("exp", "y = e^x", exp));
  table.add(unary("log", "y = ln x", log, Fill::positive));
  table.add(with_number("scale", "y = factor x", "factor", scale));
  table.add(with_number("add_scalar", "y = x + term", "term", add_scalar));
  table.add(binary("add", "y = a + b", add));
  table.add(binary("sub", "y = a - b", sub));
  table.add(binary("mul", "y = a b", mul));
  table.add(binary("div", "y = a / b", div, Fill::away_from_zero));
  table.add({.name = "add_bias_gelu",
             .formula = "y = gelu(x + residual + bias)",
             .inputs = {{"x", "[..., C]"}, {"residual", "[..., C]"}, {"bias", "[C]"}},
             .attributes = {},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{add_bias_gelu(c.in("x"), c.in("residual"), c.in("bias"))}; },
             .examples = {{{{"x", {{1}}}, {"residual", {{1}}}, {"bias", {{1}}}}, {}},
                          {{{"x", {{2, 3, 11}}}, {"residual", {{2, 3, 11}}}, {"bias", {{11}}}}, {}}}});
}

}  // namespace alinea
