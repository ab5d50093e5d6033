#include "autograd/layer_norm.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_layer_norm_rows(OpTable& table) {
  table.add({.name = "layer_norm",
             .formula = "y = (x - mean) / sqrt(variance + eps) * weight + bias, over the last axis",
             .inputs = {{"x", "[..., C]"}, {"weight", "[C]"}, {"bias", "[C]"}},
             .attributes = {{"eps", "1e-5", "added to the variance"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{layer_norm(c.in("x"), c.in("weight"), c.in("bias"), c.number("eps"))}; },
             .examples = {{{{"x", {{2, 3, 37}}}, {"weight", {{37}}}, {"bias", {{37}}}}, {}},
                          {{{"x", {{1, 1}}}, {"weight", {{1}}}, {"bias", {{1}}}}, {}},
                          {{{"x", {{5, 8}}}, {"weight", {{8}}}, {"bias", {{8}}}}, {{"eps", "0.5"}}}}});
  table.add({.name = "residual_layer_norm",
             .formula = "sum = x + residual; y = layer_norm(sum)",
             .inputs = {{"x", "[..., C]"}, {"residual", "[..., C]"}, {"weight", "[C]"}, {"bias", "[C]"}},
             .attributes = {{"eps", "1e-5", "added to the variance"}},
             .outputs = {"sum", "y"},
             .run =
                 [](const OpCall& c) {
                   const auto r = residual_layer_norm(c.in("x"), c.in("residual"), c.in("weight"), c.in("bias"), c.number("eps"));
                   return std::vector{r.sum, r.y};
                 },
             .examples = {{{{"x", {{3, 2, 19}}}, {"residual", {{3, 2, 19}}}, {"weight", {{19}}}, {"bias", {{19}}}}, {}},
                          {{{"x", {{4, 8}}}, {"residual", {{4, 8}}}, {"weight", {{8}}}, {"bias", {{8}}}}, {{"eps", "0.1"}}}}});
}

}  // namespace alinea
