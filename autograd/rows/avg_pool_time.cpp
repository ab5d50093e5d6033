#include "autograd/avg_pool_time.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_avg_pool_time_rows(OpTable& table) {
  table.add({.name = "avg_pool_time",
             .formula = "y[b, w] = mean of the real rows w · ratio … (w + 1) · ratio − 1 of x[b]",
             .inputs = {{"x", "[B, T, C]"}, {"lengths", "i64 [B]", true, true}},
             .attributes = {{"ratio", "", "rows per window"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{avg_pool_time(c.in("x"), c.lengths("lengths"), c.integer("ratio"))}; },
             .examples = {{{{"x", {{2, 7, 3}}}}, {{"ratio", "3"}}},
                          {{{"x", {{1, 1, 1}}}}, {{"ratio", "4"}}},
                          {{{"x", {{3, 9, 17}}}, {"lengths", Fill::ids({3}, {9, 5, 0})}}, {{"ratio", "2"}}}}});
}

}  // namespace alinea
