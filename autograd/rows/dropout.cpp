#include "autograd/dropout.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_dropout_rows(OpTable& table) {
  table.add({.name = "dropout",
             .formula = "y = x ⊙ m / (1 - p), m = 0 with probability p",
             .inputs = {{"x", "[...]"}},
             .attributes = {{"p", "", "probability, 0 <= p < 1"}, {"seed", "", "of the mask"}, {"offset", "0", "first block of four random numbers"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{dropout(c.in("x"), c.number("p"), RandomKey{uint64_t(c.integer("seed"))}, uint64_t(c.integer("offset")))}; },
             .examples = {{{{"x", {{1}}}}, {{"p", "0.5"}, {"seed", "1"}}},
                          {{{"x", {{5, 17}}}}, {{"p", "0.3"}, {"seed", "9"}, {"offset", "7"}}},
                          {{{"x", {{2, 3}}}}, {{"p", "0"}, {"seed", "1"}}}}});
}

}  // namespace alinea
