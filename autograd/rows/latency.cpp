#include "autograd/latency.h"

#include "autograd/rows/rows.h"

namespace alinea {

namespace {

HeadPooling pooling_of(const std::string& name) {
  if (name == "mean") return HeadPooling::mean;
  if (name == "max") return HeadPooling::max;
  if (name == "softmax") return HeadPooling::softmax;
  if (name == "softmax_stopgrad") return HeadPooling::softmax_stopgrad;
  fail(Exit::usage, "head_pool: method '{}' is not one of mean, max, softmax, softmax_stopgrad", name);
}

void register_delays(OpTable& table) {
  const std::vector<OpInput> inputs = {{"delay", "[B, H, T]"}, {"source_lengths", "[B]", false, true}, {"target_lengths", "[B]", true, true}};
  // Item 0 reaches |X| = 6 in its second row; item 1 has a padded row.
  const std::map<std::string, Fill> two = {{"delay", {{2, 2, 4}, Fill::given, {2.1, 6.4, 6.2, 7, 1, 2.7, 3, 5.5, 0.5, 1, 3.5, 4, 3, 1, 2, 9}}},
                                           {"source_lengths", Fill::ids({2}, {6, 5})}, {"target_lengths", Fill::ids({2}, {4, 3})}};
  const std::map<std::string, Fill> one = {{"delay", {{1, 1, 1}, Fill::given, {0.7}}}, {"source_lengths", Fill::ids({1}, {3})}};
  table.add({.name = "average_lagging",
             .formula = "1/n Σ_{i≤n} (d_i - (i-1)|X|/|Y|), n up to the first d_i ≥ |X|",
             .inputs = inputs,
             .attributes = {{"average", "true", "false: the sum over the n rows"}},
             .outputs = {"loss"},
             .run = [](const OpCall& c) {
               return std::vector{average_lagging(c.in("delay"), c.lengths("source_lengths"), c.lengths("target_lengths"), c.flag("average"))};
             },
             .examples = {{one, {}}, {two, {}}, {two, {{"average", "false"}}}}});
  table.add({.name = "differentiable_average_lagging",
             .formula = "1/|Y| Σ_i (d'_i - (i-1)|X|/|Y|), d'_i = max(d_i, d'_{i-1} + |X|/|Y|)",
             .inputs = inputs,
             .attributes = {},
             .outputs = {"loss"},
             .run = [](const OpCall& c) {
               return std::vector{differentiable_average_lagging(c.in("delay"), c.lengths("source_lengths"), c.lengths("target_lengths"))};
             },
             .examples = {{one, {}}, {two, {}}}});
}

}  // namespace

void register_latency_rows(OpTable& table) {
  table.add({.name = "expected_delay",
             .formula = "d_i = Σ_j j α_ij, j from 1",
             .inputs = {{"alpha", "[B, H, T, S]"}, {"source_lengths", "[B]", true, true}},
             .attributes = {},
             .outputs = {"delay"},
             .run = [](const OpCall& c) { return std::vector{expected_delay(c.in("alpha"), c.lengths("source_lengths"))}; },
             .examples = {{{{"alpha", {{1, 1, 1, 1}}}}, {}}, {{{"alpha", {{2, 2, 3, 19}}}, {"source_lengths", Fill::ids({2}, {19, 9})}}, {}}}});
  register_delays(table);
  table.add({.name = "alignment_variance",
             .formula = "1/|Y| Σ_i Σ_j (j - d_i)² α_ij",
             .inputs = {{"alpha", "[B, H, T, S]"}, {"source_lengths", "[B]", true, true}, {"target_lengths", "[B]", true, true}},
             .attributes = {},
             .outputs = {"variance"},
             .run = [](const OpCall& c) { return std::vector{alignment_variance(c.in("alpha"), c.lengths("source_lengths"), c.lengths("target_lengths"))}; },
             .examples = {{{{"alpha", {{1, 1, 1, 1}, Fill::positive}}}, {}},
                          {{{"alpha", {{2, 2, 3, 10}, Fill::positive}}, {"source_lengths", Fill::ids({2}, {10, 7})}, {"target_lengths", Fill::ids({2}, {2, 3})}}, {}}}});
  std::vector<OpExample> examples;
  for (const char* method : {"mean", "max", "softmax"})      // the fourth has by definition not the gradient of its value
    examples.push_back({{{"values", {{3, 5}}}}, {{"method", method}}});
  table.add({.name = "head_pool",
             .formula = "mean, max or Σ_h softmax(L)_h L_h over the last axis",
             .inputs = {{"values", "[B, N]"}},
             .attributes = {{"method", "mean", "mean, max, softmax, or softmax_stopgrad (weights without gradient)"}},
             .outputs = {"y"},
             .run = [](const OpCall& c) { return std::vector{head_pool(c.in("values"), pooling_of(c.text("method")))}; },
             .examples = std::move(examples)});
}

}  // namespace alinea
