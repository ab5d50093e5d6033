#include "autograd/group_norm.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_group_norm_rows(OpTable& table) {
  auto example = [](const Shape& x, const std::string& groups, const std::string& eps) {
    return OpExample{{{"x", {x}}, {"weight", {{x[2]}}}, {"bias", {{x[2]}}}}, {{"groups", groups}, {"eps", eps}}};
  };
  table.add({.name = "group_norm",
             .formula = "y = (x - mean) / sqrt(variance + eps) * weight + bias, over time and the channels of a group",
             .inputs = {{"x", "[B, T, C]"}, {"weight", "[C]"}, {"bias", "[C]"}},
             .attributes = {{"groups", "", "a divisor of C"}, {"eps", "1e-5", "added to the variance"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{group_norm(c.in("x"), c.integer("groups"), c.in("weight"), c.in("bias"), c.number("eps"))}; },
             .examples = {example({2, 5, 6}, "3", "1e-5"), example({1, 19, 9}, "9", "1e-5"), example({2, 3, 17}, "1", "0.3"), example({1, 1, 1}, "1", "1e-5")}});
}

}  // namespace alinea
