#include "autograd/contrastive_loss.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_contrastive_loss_rows(OpTable& table) {
  auto example = [](const Shape& shape, std::vector<double> mask, int64_t K, std::vector<double> negatives, const std::string& temperature) {
    return OpExample{{{"states", {shape}},
                      {"targets", {shape}},
                      {"negatives", Fill::ids({shape[0], shape[1], K}, std::move(negatives))},
                      {"mask", Fill::ids({shape[0], shape[1]}, std::move(mask))}},
                     {{"temperature", temperature}}};
  };
  table.add({.name = "contrastive_loss",
             .formula = "sum over masked frames of -log softmax over (own target, negatives) of cos(state, target) / temperature, at the own target",
             .inputs = {{"states", "[B, T, P]"}, {"targets", "[B, T, P]"}, {"negatives", "[B, T, K]", false, true}, {"mask", "[B, T]", false, true}},
             .attributes = {{"temperature", "0.1", "divides the cosines"}},
             .outputs = {"loss"},
             .run = [](const OpCall& c) {
               return std::vector{contrastive_loss(c.in("states"), c.in("targets"), c.tensor("negatives"), c.tensor("mask"), c.number("temperature"))};
             },
             .examples = {example({2, 3, 5}, {1, 0, 1, 1, 1, 0}, 2, {2, 2, 0, 0, 0, 0, 4, 4, 3, 3, 0, 0}, "0.5"),
                          example({1, 4, 19}, {1, 1, 1, 1}, 3, {1, 2, 3, 0, 2, 3, 0, 1, 3, 2, 1, 0}, "1"),
                          example({1, 2, 3}, {1, 0}, 1, {0, 0}, "0.3")}});   // the only negative is the frame itself: loss 0
}

}  // namespace alinea
