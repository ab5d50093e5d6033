#include "autograd/cross_entropy.h"

#include "autograd/rows/rows.h"

namespace alinea {

namespace {

CrossEntropy options(const OpCall& c) {
  const std::string convention = c.text("convention"), reduction = c.text("reduction");
  require(convention == "torch" || convention == "fairseq", "cross_entropy: convention '{}' is not one of torch, fairseq", convention);
  require(reduction == "mean" || reduction == "sum", "cross_entropy: reduction '{}' is not one of mean, sum", reduction);
  return {.smoothing = c.number("smoothing"),
          .convention = convention == "torch" ? CrossEntropy::Convention::torch : CrossEntropy::Convention::fairseq,
          .ignore_index = c.integer("ignore_index"),
          .reduction = reduction == "mean" ? Reduction::mean : Reduction::sum};
}

}  // namespace

void register_cross_entropy_rows(OpTable& table) {
  table.add({.name = "cross_entropy",
             .formula = "sum or mean over rows of a (-log p[target]) + b sum_v(-log p[v]), p = softmax(logits); a, b by smoothing and convention",
             .inputs = {{"logits", "[N, V]"}, {"target", "[N]", false, true}},
             .attributes = {{"smoothing", "0", "weight spread over the classes"},
                            {"convention", "torch", "torch: over all classes; fairseq: over the others"},
                            {"ignore_index", "-100", "rows with this target don't count"},
                            {"reduction", "mean", "mean (over counted rows) or sum"}},
             .outputs = {"loss"},
             .run = [](const OpCall& c) { return std::vector{cross_entropy(c.in("logits"), c.tensor("target"), options(c))}; },
             .examples = {{{{"logits", {{4, 7}}}, {"target", Fill::ids({4}, {0, 6, -100, 3})}}, {}},
                          {{{"logits", {{1, 1}}}, {"target", Fill::ids({1}, {0})}}, {}},
                          {{{"logits", {{3, 33}}}, {"target", Fill::ids({3}, {32, 1, 1})}}, {{"smoothing", "0.1"}}},
                          {{{"logits", {{3, 9}}}, {"target", Fill::ids({3}, {8, 1, 2})}}, {{"smoothing", "0.2"}, {"convention", "fairseq"}, {"ignore_index", "1"}}},
                          {{{"logits", {{2, 3, 5}}}, {"target", Fill::ids({2, 3}, {0, 1, 2, 3, 4, 0})}}, {{"smoothing", "0.3"}, {"reduction", "sum"}}},
                          {{{"logits", {{2, 5}}}, {"target", Fill::ids({2}, {-100, -100})}}, {}}}});
}

}  // namespace alinea
