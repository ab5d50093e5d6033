#include "autograd/attention_products.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_attention_product_rows(OpTable& table) {
  table.add({.name = "attention_scores",
             .formula = "u = scale · q kᵀ",
             .inputs = {{"q", "[B, H, T, D]"}, {"k", "[B, H, S, D]"}},
             .attributes = {{"scale", "1", "factor"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{attention_scores(c.in("q"), c.in("k"), c.number("scale"))}; },
             .examples = {{{{"q", {{2, 3, 4, 5}}}, {"k", {{2, 3, 6, 5}}}}, {{"scale", "0.5"}}}, {{{"q", {{1, 1, 1, 1}}}, {"k", {{1, 1, 1, 1}}}}, {}}}});
  table.add({.name = "attention_context",
             .formula = "y = w v",
             .inputs = {{"w", "[B, H, T, S]"}, {"v", "[B, H, S, D]"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{attention_context(c.in("w"), c.in("v"))}; },
             .examples = {{{{"w", {{2, 3, 4, 6}}}, {"v", {{2, 3, 6, 5}}}}, {}}, {{{"w", {{1, 1, 1, 1}}}, {"v", {{1, 1, 1, 1}}}}, {}}}});
}

}  // namespace alinea
