#include "autograd/monotonic.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_monotonic_rows(OpTable& table) {
  table.add({.name = "monotonic_alpha",
             .formula = "α_ij = p_ij q_ij, q_ij = r_{i,j-1} q_{i,j-1} + α_{i-1,j}, p = σ(z), p = 1 in the last valid column",
             .inputs = {{"z", "[B, H, T, S]"}, {"source_lengths", "[B]", true, true}},
             .attributes = {},
             .outputs = {"alpha"},
             .run = [](const OpCall& c) { return std::vector{monotonic_alpha(c.in("z"), c.lengths("source_lengths"))}; },
             .examples = {{{{"z", {{1, 1, 1, 1}}}}, {}},
                          {{{"z", {{2, 2, 5, 7}}}}, {}},
                          {{{"z", {{2, 1, 4, 19}}}, {"source_lengths", Fill::ids({2}, {17, 8})}}, {}},
                          {{{"z", {{1, 1, 3, 33}}}, {"source_lengths", Fill::ids({1}, {32})}}, {}}}});
  const std::vector<OpInput> pair = {{"alpha", "[B, H or 1, T, ceil(S/ratio)]"}, {"u", "[B, H, T, S]"}, {"source_lengths", "[B]", true, true}};
  const OpAttribute ratio = {"ratio", "1", "source columns per column of alpha; a column of alpha ends where its window does"};
  table.add({.name = "lookback_beta",
             .formula = "β_ij = Σ_{k≥j} α_ik e^{u_ij} / Σ_{l≤k} e^{u_il}",
             .inputs = pair,
             .attributes = {ratio},
             .outputs = {"beta"},
             .run = [](const OpCall& c) { return std::vector{lookback_beta(c.in("alpha"), c.in("u"), c.lengths("source_lengths"), c.integer("ratio"))}; },
             .examples = {{{{"alpha", {{1, 1, 1, 1}}}, {"u", {{1, 1, 1, 1}}}}, {}},
                          {{{"alpha", {{2, 2, 3, 11}, Fill::positive}}, {"u", {{2, 2, 3, 11}}}, {"source_lengths", Fill::ids({2}, {11, 8})}}, {}},
                          {{{"alpha", {{1, 1, 2, 19}, Fill::positive}}, {"u", {{1, 3, 2, 19}}}}, {}},
                          {{{"alpha", {{2, 1, 2, 7}, Fill::positive}}, {"u", {{2, 2, 2, 20}}}, {"source_lengths", Fill::ids({2}, {20, 13})}}, {{"ratio", "3"}}},
                          // Energies that rise by more than 40: the row is cut into segments.
                          {{{"alpha", {{1, 1, 1, 4}, Fill::positive}}, {"u", {{1, 1, 1, 4}, Fill::given, {0.5, 1, 46, 47}}}}, {}}}});
  table.add({.name = "chunk_beta",
             .formula = "β_ij = Σ_{k=j}^{j+width-1} α_ik e^{u_ij} / Σ_{l=k-width+1}^{k} e^{u_il}",
             .inputs = pair,
             .attributes = {{"width", "", "columns of a chunk"}, ratio},
             .outputs = {"beta"},
             .run = [](const OpCall& c) {
               return std::vector{chunk_beta(c.in("alpha"), c.in("u"), c.integer("width"), c.lengths("source_lengths"), c.integer("ratio"))};
             },
             .examples = {{{{"alpha", {{1, 1, 1, 1}}}, {"u", {{1, 1, 1, 1}}}}, {{"width", "2"}}},
                          {{{"alpha", {{2, 2, 3, 11}, Fill::positive}}, {"u", {{2, 2, 3, 11}}}, {"source_lengths", Fill::ids({2}, {11, 8})}}, {{"width", "3"}}},
                          {{{"alpha", {{1, 1, 9, 7}, Fill::positive}}, {"u", {{1, 2, 9, 14}}}}, {{"width", "4"}, {"ratio", "2"}}},
                          {{{"alpha", {{1, 1, 2, 5}, Fill::positive}}, {"u", {{1, 1, 2, 5}}}}, {{"width", "1"}}},
                          {{{"alpha", {{1, 1, 2, 5}, Fill::positive}}, {"u", {{1, 1, 2, 5}}}}, {{"width", "9"}}}}});
}

}  // namespace alinea
