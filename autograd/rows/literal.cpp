#include "autograd/rows/rows.h"
#include "autograd/rows/structured.h"
#include "autograd/structured_attention.h"

namespace alinea {

namespace {

// The window follows from the logits where it is not given.
std::vector<Variable> run(const OpCall& call) {
  OpCall c = call;
  if (c.text("window").empty()) c.attributes["window"] = std::to_string((c.in("band_logits").size(-1) - 1) / 2);
  LiteralAttention op{.pattern = pattern_of(c, c.in("v").size(1)), .eps = c.number("eps"), .key = {uint64_t(c.integer("seed"))}, .rows = c.integer("rows")};
  if (!c.text("span").empty()) op.span = c.integer("span");
  return {literal_attention(c.in("v"), c.in("band_logits"), c.in("column_logits"), c.in("residual"), op)};
}

std::map<std::string, Fill> inputs(int64_t B, int64_t H, int64_t S, int64_t D, int64_t w) { return {{"v", {{B, H, S, D}}}, {"band_logits", {{H, 2 * w + 1}}}}; }
std::map<std::string, Fill> with_columns(std::map<std::string, Fill> in, int64_t B, int64_t H, std::vector<double> columns) {
  const auto r = int64_t(columns.size()) / B;
  in["columns"] = Fill::ids({B, r}, std::move(columns)), in["column_logits"] = {{H}};
  return in;
}
std::map<std::string, Fill> with_residual(std::map<std::string, Fill> in, int64_t H, int64_t n) {
  in["residual"] = {{H, n}};
  return in;
}

}  // namespace

void register_literal_rows(OpTable& table) {
  auto attributes = pattern_attributes();
  attributes[0] = {"window", "none", "row i reads |i - j| <= window; one number or one per head; none: as wide as band_logits"};
  attributes.insert(attributes.end(), {{"eps", "0.1", "bound of the residual: e = eps · tanh(residual / eps)"},
                                       {"causal", "false", "row i reads no key past first_row + i"},
                                       {"first_row", "0", "position of row 0 among the keys"},
                                       {"rows", "0", "T; 0: as many rows as keys"},
                                       {"span", "none", "the residual's positions lie below it; none: S"}});
  auto lengths = with_residual(with_columns(inputs(2, 1, 6, 2, 1), 2, 1, {0, 1}), 1, 9);
  lengths["source_lengths"] = Fill::ids({2}, {6, 2}), lengths["target_lengths"] = Fill::ids({2}, {5, 6});
  table.add({.name = "literal",
             .formula = "y = (P + E) v, P = row softmax of band_logits[w + j − i] on the band and column_logits on columns, E = eps tanh(residual / eps) at seeded places",
             .inputs = {{"v", "[B, H, S, D]"}, {"band_logits", "[H, 2w + 1]"}, {"column_logits", "[H]", true}, {"columns", "i64 [B, r]", true, true},
                        {"residual", "[H, k]", true}, {"source_lengths", "i64 [B]", true, true}, {"target_lengths", "i64 [B]", true, true}},
             .attributes = attributes,
             .outputs = {"y"},
             .run = run,
             .examples = {{inputs(1, 1, 1, 1, 0), {}},
                          {inputs(2, 2, 9, 3, 2), {{"causal", "true"}}},
                          {with_columns(inputs(2, 2, 11, 4, 3), 2, 2, {0, 5, 5, -1, 10, 7}), {{"window", "3,1"}}},
                          {with_residual(inputs(2, 3, 7, 5, 1), 3, 4), {{"seed", "4"}}},
                          {with_residual(with_columns(inputs(1, 2, 40, 1, 2), 1, 2, {3}), 2, 30), {{"causal", "true"}, {"eps", "0.5"}, {"seed", "2"}, {"span", "45"}}},
                          {lengths, {{"eps", "2"}}},
                          {with_residual(inputs(1, 1, 12, 2, 3), 1, 20), {{"causal", "true"}, {"first_row", "9"}, {"rows", "2"}}},
                          {with_columns(inputs(1, 2, 9, 3, 1), 1, 2, {4}), {{"blocks", "3,4"}, {"global_rows", "8"}, {"random_keys", "2"}, {"column_extent", "3"}}}}});
}

}  // namespace alinea
