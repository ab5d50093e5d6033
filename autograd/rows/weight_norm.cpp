#include "autograd/weight_norm.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_weight_norm_rows(OpTable& table) {
  auto example = [](const Shape& v) { return OpExample{{{"v", {v}}, {"g", {{1, 1, v[2]}}}}, {}}; };
  table.add({.name = "weight_norm",
             .formula = "w = g v / |v|, one length per tap over both channel axes",
             .inputs = {{"v", "[O, C, K]"}, {"g", "[1, 1, K]"}},
             .attributes = {},
             .outputs = {"w"},
             .run = [](const OpCall& c) { return std::vector{weight_norm(c.in("v"), c.in("g"))}; },
             .examples = {example({4, 3, 5}), example({2, 1, 19}), example({3, 2, 1})}});
}

}  // namespace alinea
