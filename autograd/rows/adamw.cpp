#include "engine/ops/adamw.h"

#include "autograd/rows/rows.h"

namespace alinea {

void register_adamw_rows(OpTable& table) {
  table.add({.name = "adamw",
             .formula = "one AdamW step in PyTorch's order: decay, moments, p -= lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps)",
             .inputs = {{"parameter", "[...]"}, {"gradient", "[...]"}, {"moment1", "[...]"}, {"moment2", "[...]"}},
             .attributes = {{"lr", "", "learning rate"},
                            {"beta1", "0.9", "decay of the first moment"},
                            {"beta2", "0.999", "decay of the second moment"},
                            {"eps", "1e-8", "added to the root"},
                            {"weight_decay", "0", "decoupled weight decay"},
                            {"step", "", "1 for the first step"}},
             .outputs = {"parameter", "moment1", "moment2"},
             .run =
                 [](const OpCall& c) {
                   const AdamW op{.lr = c.number("lr"),
                                  .beta1 = c.number("beta1"),
                                  .beta2 = c.number("beta2"),
                                  .eps = c.number("eps"),
                                  .weight_decay = c.number("weight_decay"),
                                  .step = c.integer("step")};
                   const auto y = op.forward(c.tensor("parameter"), c.tensor("gradient"), c.tensor("moment1"), c.tensor("moment2"), nullptr);
                   return std::vector<Variable>(y.begin(), y.end());
                 },
             .examples = {{{{"parameter", {{3, 7}}}, {"gradient", {{3, 7}}}, {"moment1", {{3, 7}}}, {"moment2", {{3, 7}, Fill::positive}}},
                           {{"lr", "0.01"}, {"step", "3"}, {"weight_decay", "0.1"}}}},
             .differentiable = false});
}

}  // namespace alinea
