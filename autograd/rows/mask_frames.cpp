#include "autograd/mask_frames.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_mask_frames_rows(OpTable& table) {
  const Fill frames = Fill::ids({2, 4}, {0, 1, 1, 0, 1, 0, 2, 2}), channels = Fill::ids({2, 3}, {0, 0, 1, 0, 1, 0});
  table.add({.name = "mask_frames",
             .formula = "y = fill where frames is 1, 0 where frames is 2 or channels is 1, x elsewhere",
             .inputs = {{"x", "[B, T, C]"}, {"fill", "[C]", true}, {"frames", "[B, T]", true, true}, {"channels", "[B, C]", true, true}},
             .attributes = {},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{mask_frames(c.in("x"), c.in("fill"), c.tensor("frames"), c.tensor("channels"))}; },
             .examples = {{{{"x", {{2, 4, 3}}}, {"fill", {{3}}}, {"frames", frames}, {"channels", channels}}, {}},
                          {{{"x", {{2, 4, 17}}}, {"fill", {{17}}}, {"frames", frames}}, {}},
                          {{{"x", {{1, 2, 1}}}, {"frames", Fill::ids({1, 2}, {0, 2})}}, {}},
                          {{{"x", {{2, 1, 3}}}, {"channels", channels}}, {}}}});
}

}  // namespace alinea
