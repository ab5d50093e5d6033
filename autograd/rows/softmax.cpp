#include "autograd/softmax.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_softmax_rows(OpTable& table) {
  const std::vector<OpExample> examples = {{{{"x", {{2, 3, 37}}}}, {}}, {{{"x", {{4, 1}}}}, {}}, {{{"x", {{5}}}}, {}}, {{{"x", {{3, 80}}}}, {}}};
  table.add({.name = "softmax",
             .formula = "y = exp(x) / sum(exp(x)) over the last axis",
             .inputs = {{"x", "[..., C]"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{softmax(c.in("x"))}; },
             .examples = examples});
  table.add({.name = "log_softmax",
             .formula = "y = x - log(sum(exp(x))) over the last axis",
             .inputs = {{"x", "[..., C]"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{log_softmax(c.in("x"))}; },
             .examples = examples});
}

}  // namespace alinea
