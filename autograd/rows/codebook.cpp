#include "autograd/codebook.h"

#include "autograd/rows/rows.h"

namespace alinea {

namespace {

Codebook::Choice choice_of(const std::string& name) {
  if (name == "hard") return Codebook::Choice::hard;
  if (name == "gumbel") return Codebook::Choice::gumbel;
  require(name == "soft", "codebook: choice '{}' is not one of hard, gumbel, soft", name);
  return Codebook::Choice::soft;
}

}  // namespace

void register_codebook_rows(OpTable& table) {
  // gumbel is left out here: its gradient is by design not that of its value.
  table.add({.name = "codebook",
             .formula = "y = the vector of each codebook with the largest logit; soft: their mean under softmax((logits + noise) / temperature)",
             .inputs = {{"logits", "[..., G V]"}, {"codevectors", "[1, G V, E]"}, {"noise", "[..., G V]", true, false, true}},
             .attributes = {{"groups", "", "codebooks"}, {"choice", "hard", "hard, gumbel (hard, with soft's gradient) or soft"}, {"temperature", "1", "divides the logits"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) {
               return std::vector{codebook(c.in("logits"), c.in("codevectors"), c.tensor("noise"), {choice_of(c.text("choice")), c.integer("groups"), c.number("temperature")})};
             },
             .examples = {{{{"logits", {{2, 3, 10}}}, {"codevectors", {{1, 10, 3}}}, {"noise", {{2, 3, 10}}}}, {{"groups", "2"}, {"choice", "soft"}, {"temperature", "0.7"}}},
                          {{{"logits", {{4, 10}}}, {"codevectors", {{1, 10, 3}}}}, {{"groups", "2"}}},
                          {{{"logits", {{3, 19}}}, {"codevectors", {{1, 19, 2}}}}, {{"groups", "1"}, {"choice", "soft"}}},
                          {{{"logits", {{1, 1}}}, {"codevectors", {{1, 1, 1}}}}, {{"groups", "1"}, {"choice", "soft"}}}}});
  table.add({.name = "code_perplexity",
             .formula = "y = sum over codebooks of exp(entropy of the mean over masked rows of softmax(logits))",
             .inputs = {{"logits", "[..., G V]"}, {"mask", "[...]", false, true}},
             .attributes = {{"groups", "", "codebooks"}, {"hard", "false", "the mean of the choices instead of the softmax"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{code_perplexity(c.in("logits"), c.tensor("mask"), {c.integer("groups"), c.flag("hard")})}; },
             .examples = {{{{"logits", {{2, 3, 10}}}, {"mask", Fill::ids({2, 3}, {1, 0, 1, 1, 1, 0})}}, {{"groups", "2"}}},
                          {{{"logits", {{3, 19}}}, {"mask", Fill::ids({3}, {1, 1, 1})}}, {{"groups", "1"}}},
                          {{{"logits", {{3, 6}}}, {"mask", Fill::ids({3}, {1, 1, 1})}}, {{"groups", "2"}, {"hard", "true"}}},
                          {{{"logits", {{2, 6}}}, {"mask", Fill::ids({2}, {0, 0})}}, {{"groups", "3"}}}}});
}

}  // namespace alinea
