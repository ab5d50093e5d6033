#include "autograd/ctc_loss.h"

#include "autograd/rows/rows.h"

namespace alinea {

namespace {

CtcLoss options(const OpCall& c) {
  const std::string reduction = c.text("reduction");
  require(reduction == "none" || reduction == "mean" || reduction == "sum", "ctc_loss: reduction '{}' is not one of mean, sum, none", reduction);
  return {.blank = c.integer("blank"),
          .zero_infinity = c.flag("zero_infinity"),
          .reduction = reduction == "mean" ? Reduction::mean : reduction == "sum" ? Reduction::sum : Reduction::none,
          .input_lengths = c.lengths("input_lengths"),
          .target_lengths = c.lengths("target_lengths")};
}

}  // namespace

void register_ctc_loss_rows(OpTable& table) {
  const std::map<std::string, Fill> batch = {{"logits", {{3, 6, 5}}},
                                             {"target", Fill::ids({3, 3}, {1, 1, 2, 3, -1, -1, 4, 2, 1})},
                                             {"input_lengths", Fill::ids({3}, {6, 4, 5})},
                                             {"target_lengths", Fill::ids({3}, {3, 1, 3})}};
  const std::map<std::string, Fill> other_blank = {{"logits", {{2, 5, 4}}},
                                                   {"target", Fill::ids({2, 2}, {0, 0, 1, 3})},
                                                   {"input_lengths", Fill::ids({2}, {5, 2})},
                                                   {"target_lengths", Fill::ids({2}, {2, 0})}};
  const std::map<std::string, Fill> too_long = {{"logits", {{2, 3, 19}}},
                                                {"target", Fill::ids({2, 3}, {1, 1, 1, 18, 17, 0})},
                                                {"input_lengths", Fill::ids({2}, {3, 3})},
                                                {"target_lengths", Fill::ids({2}, {3, 2})}};
  const std::map<std::string, Fill> smallest = {{"logits", {{1, 1, 2}}},
                                                {"target", Fill::ids({1, 1}, {1})},
                                                {"input_lengths", Fill::ids({1}, {1})},
                                                {"target_lengths", Fill::ids({1}, {1})}};
  table.add({.name = "ctc_loss",
             .formula = "-log of the summed probability of all alignments of the target, log-softmax inside",
             .inputs = {{"logits", "[B, T, V]"}, {"target", "[B, L]", false, true}, {"input_lengths", "[B]", false, true}, {"target_lengths", "[B]", false, true}},
             .attributes = {{"blank", "0", "class of the blank"},
                            {"zero_infinity", "false", "impossible targets count 0"},
                            {"reduction", "mean", "mean (each over its target length, then over the batch), sum or none"}},
             .outputs = {"loss"},
             .run = [](const OpCall& c) { return std::vector{ctc_loss(c.in("logits"), c.tensor("target"), options(c))}; },
             .examples = {{batch, {}},
                          {batch, {{"reduction", "sum"}}},
                          {batch, {{"reduction", "none"}}},
                          {other_blank, {{"blank", "2"}}},
                          {too_long, {{"zero_infinity", "true"}}},
                          {smallest, {}}}});
}

}  // namespace alinea
