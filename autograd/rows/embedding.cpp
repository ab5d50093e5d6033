#include "autograd/embedding.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_embedding_rows(OpTable& table) {
  table.add({.name = "embedding",
             .formula = "y = scale weight[ids]",
             .inputs = {{"weight", "[V, C]"}, {"ids", "[...]", false, true}},
             .attributes = {{"padding_idx", "-1", "row without a gradient; -1: none"}, {"scale", "1", "factor"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{embedding(c.in("weight"), c.tensor("ids"), c.integer("padding_idx"), c.number("scale"))}; },
             .examples = {{{{"weight", {{1, 1}}}, {"ids", Fill::ids({1}, {0})}}, {}},
                          {{{"weight", {{6, 5}}}, {"ids", Fill::ids({2, 3}, {4, 0, 4, 5, 1, 4})}}, {{"scale", "2.5"}}},
                          {{{"weight", {{3, 19}}}, {"ids", Fill::ids({4}, {2, 0, 2, 0})}}, {}}}});
}

}  // namespace alinea
