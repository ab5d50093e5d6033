#include "autograd/reduce.h"

#include "autograd/rows/numbers.h"
#include "autograd/rows/rows.h"

namespace alinea {

namespace {

OpRow reduction(const std::string& name, const std::string& formula, Variable (*all)(const Variable&), Variable (*along)(const Variable&, int)) {
  return {.name = name,
          .formula = formula,
          .inputs = {{"x", "[...]"}},
          .attributes = {{"axis", "none", "one axis, negative from the last; none: all"}},
          .outputs = {"y"},
          .run = [=](const OpCall& c) { return std::vector{c.text("axis").empty() ? all(c.in("x")) : along(c.in("x"), int(c.integer("axis")))}; },
          .examples = {{{{"x", {{1}}}}, {}},
                       {{{"x", {{3, 5, 7}}}}, {}},
                       {{{"x", {{3, 19}}}}, {{"axis", "-1"}}},
                       {{{"x", {{3, 5, 2}}}}, {{"axis", "1"}}},
                       {{{"x", {{4, 3}}}}, {{"axis", "0"}}}}};
}

}  // namespace

void register_reduce_rows(OpTable& table) {
  table.add(reduction("sum", "y = Σ x", sum, sum));
  table.add(reduction("mean", "y = Σ x / n", mean, mean));
  table.add({.name = "sum_to",
             .formula = "y = Σ x over leading axes and axes of size 1 in shape",
             .inputs = {{"x", "[...]"}},
             .attributes = {{"shape", "", "sizes with commas"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{sum_to(c.in("x"), Shape(std::span<const int64_t>(numbers_of(c, "shape"))))}; },
             .examples = {{{{"x", {{1}}}}, {{"shape", "1"}}},
                          {{{"x", {{2, 3, 5}}}}, {{"shape", "5"}}},
                          {{{"x", {{2, 4, 3, 5}}}}, {{"shape", "2,1,3,1"}}},
                          {{{"x", {{2, 3, 7}}}}, {{"shape", "3,1"}}},
                          {{{"x", {{2, 3, 4}}}}, {{"shape", "1,3,1"}}}}});
}

}  // namespace alinea
