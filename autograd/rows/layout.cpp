#include "autograd/layout.h"

#include "autograd/rows/numbers.h"
#include "autograd/rows/rows.h"

namespace alinea {

namespace {

std::vector<int> order_of(const OpCall& c) {
  const auto numbers = numbers_of(c, "order");
  return {numbers.begin(), numbers.end()};
}

Shape shape_of(const OpCall& c) { return Shape(std::span<const int64_t>(numbers_of(c, "shape"))); }

}  // namespace

void register_layout_rows(OpTable& table) {
  table.add({.name = "reshape",
             .formula = "y = x under another shape",
             .inputs = {{"x", "[...]"}},
             .attributes = {{"shape", "", "sizes with commas, one may be -1"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{reshape(c.in("x"), shape_of(c))}; },
             .examples = {{{{"x", {{1}}}}, {{"shape", "1,1"}}}, {{{"x", {{2, 3, 5}}}}, {{"shape", "6,-1"}}}}});
  table.add({.name = "permute",
             .formula = "axis i of y = axis order[i] of x",
             .inputs = {{"x", "[...]"}},
             .attributes = {{"order", "", "axes with commas"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{permute(c.in("x"), order_of(c))}; },
             .examples = {{{{"x", {{1}}}}, {{"order", "0"}}}, {{{"x", {{2, 3, 5}}}}, {{"order", "2,0,1"}}}, {{{"x", {{2, 3, 4, 5}}}}, {{"order", "0,2,-3,3"}}}}});
  table.add({.name = "slice",
             .formula = "y = x[begin … end-1] along axis",
             .inputs = {{"x", "[...]"}},
             .attributes = {{"axis", "", "axis, negative from the last"}, {"begin", "0", "first element"}, {"end", "", "one past the last"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{slice(c.in("x"), int(c.integer("axis")), c.integer("begin"), c.integer("end"))}; },
             .examples = {{{{"x", {{1}}}}, {{"axis", "0"}, {"end", "1"}}},
                          {{{"x", {{3, 7, 2}}}}, {{"axis", "1"}, {"begin", "2"}, {"end", "5"}}},
                          {{{"x", {{3, 7}}}}, {{"axis", "-1"}, {"begin", "6"}, {"end", "7"}}}}});
  table.add({.name = "concat",
             .formula = "y = a, b, c … along axis",
             .inputs = {{"a", "[...]"}, {"b", "[...]"}, {"c", "[...]", true}, {"d", "[...]", true}, {"e", "[...]", true}},
             .attributes = {{"axis", "-1", "axis, negative from the last"}},
             .outputs = {"y"},
             .run =
                 [](const OpCall& c) {
                   std::vector<Variable> parts;
                   for (const char* name : {"a", "b", "c", "d", "e"})
                     if (c.in(name)) parts.push_back(c.in(name));
                   return std::vector{concat(std::move(parts), int(c.integer("axis")))};
                 },
             .examples = {{{{"a", {{1}}}, {"b", {{1}}}}, {}},
                          {{{"a", {{2, 3, 2}}}, {"b", {{2, 1, 2}}}, {"c", {{2, 4, 2}}}}, {{"axis", "1"}}},
                          {{{"a", {{2, 3}}}, {"b", {{2, 1}}}, {"c", {{2, 4}}}, {"d", {{2, 2}}}, {"e", {{2, 1}}}}, {}}}});
  table.add({.name = "expand",
             .formula = "y = x repeated along axes of size 1 and new leading axes",
             .inputs = {{"x", "[...]"}},
             .attributes = {{"shape", "", "sizes with commas"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{expand(c.in("x"), shape_of(c))}; },
             .examples = {{{{"x", {{1}}}}, {{"shape", "1"}}},
                          {{{"x", {{5}}}}, {{"shape", "2,3,5"}}},
                          {{{"x", {{2, 1, 3, 1}}}}, {{"shape", "2,4,3,5"}}},
                          {{{"x", {{3, 1}}}}, {{"shape", "2,3,7"}}}}});
}

}  // namespace alinea
