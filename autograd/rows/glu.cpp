#include "autograd/glu.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_glu_rows(OpTable& table) {
  table.add({.name = "glu",
             .formula = "y = a ⊙ σ(b), x = [a; b] along axis",
             .inputs = {{"x", "[.., 2N, ..]"}},
             .attributes = {{"axis", "-1", "axis that is halved, negative from the last"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{glu(c.in("x"), int(c.integer("axis")))}; },
             .examples = {{{{"x", {{2}}}}, {}}, {{{"x", {{3, 22}}}}, {}}, {{{"x", {{2, 6, 5}}}}, {{"axis", "1"}}}, {{{"x", {{2, 3, 1}}}}, {{"axis", "0"}}}}});
}

}  // namespace alinea
