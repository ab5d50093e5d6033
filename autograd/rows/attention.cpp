#include "autograd/linear_attention.h"
#include "autograd/rows/rows.h"
#include "autograd/rows/structured.h"
#include "autograd/softmax_attention.h"
#include "autograd/structured_attention.h"

namespace alinea {

namespace {

Mask mask_of(const OpCall& c) {
  Mask mask;
  const bool staircase = !c.text("staircase_k").empty();
  require(!(staircase && c.flag("causal")), "attention: causal and staircase_k are two masks; give one of them");
  if (c.flag("causal")) mask.rule = Mask::Rule::causal;
  if (staircase) mask.rule = Mask::Rule::staircase, mask.wait_k = c.integer("staircase_k"), mask.ratio = c.integer("staircase_ratio");
  mask.first_row = c.integer("first_row");
  mask.source_lengths = c.lengths("source_lengths");
  mask.target_lengths = c.lengths("target_lengths");
  return mask;
}

double scale_of(const OpCall& c, double standard) { return c.text("scale").empty() ? standard : c.number("scale"); }

LinearForm form_of(const OpCall& c, int64_t width) {
  const std::string floor = c.text("eps_mode");
  require(floor == "clamp" || floor == "add", "attention: eps_mode '{}' is not one of clamp, add", floor);
  LinearForm form{.map = feature_map_named(c.text("feature_map")), .eps = c.number("eps"), .floor = floor == "add" ? Floor::add : Floor::clamp, .scale = scale_of(c, 1), .projection = {}};
  if (form.map == FeatureMap::favor) {
    const int64_t features = c.integer("features") > 0 ? c.integer("features") : 2 * width;
    form.projection = favor_projection(c.in("q").value().context(), features, width, RandomKey{uint64_t(c.integer("seed"))});
  }
  return form;
}

StructuredPattern structured_pattern(const OpCall& c) {
  require(c.text("staircase_k").empty(), "attention: family structured lies around the diagonal of one sequence; it has no staircase");
  return pattern_of(c, c.in("q").size(1));
}

std::vector<Variable> run(const OpCall& c) {
  const std::string family = c.text("family");
  if (family == "softmax") return {softmax_attention(c.in("q"), c.in("k"), c.in("v"), {.mask = mask_of(c), .scale = scale_of(c, 0)})};
  if (family == "structured") return {structured_attention(c.in("q"), c.in("k"), c.in("v"), {}, {}, {.pattern = structured_pattern(c), .scale = scale_of(c, 0)})};
  require(family == "linear", "attention: family '{}' is not one of softmax, linear, structured; the op `literal` is the fourth", family);
  const Extents extents{c.numbers("source_extent"), c.numbers("target_extent")};
  return {linear_attention(c.in("q"), c.in("k"), c.in("v"), {mask_of(c), form_of(c, c.in("q").size(3)), extents})};
}

using Inputs = std::map<std::string, Fill>;

Inputs inputs(int64_t B, int64_t H, int64_t T, int64_t S, int64_t D, Fill::Kind kind = Fill::normal) {
  return {{"q", {{B, H, T, D}, kind}}, {"k", {{B, H, S, D}, kind}}, {"v", {{B, H, S, D}}}};
}
Inputs with_lengths(Inputs in, std::vector<double> source, std::vector<double> target) {
  const auto items = int64_t(source.size());
  in["source_lengths"] = Fill::ids({items}, std::move(source));
  in["target_lengths"] = Fill::ids({items}, std::move(target));
  return in;
}

Inputs with_extents(Inputs in, std::vector<double> source, std::vector<double> target) {
  const auto items = int64_t(source.size());
  in["source_extent"] = {{items}, Fill::given, std::move(source)};
  in["target_extent"] = {{items}, Fill::given, std::move(target)};
  return in;
}

Inputs with_columns(Inputs in, std::vector<double> columns) {
  in["columns"] = Fill::ids({1, int64_t(columns.size())}, std::move(columns));
  return in;
}

}  // namespace

void register_attention_rows(OpTable& table) {
  std::vector<OpAttribute> attributes = {{"family", "softmax", "softmax, linear or structured"},
                                         {"feature_map", "relu", "linear: relu, elu, cosformer or favor"},
                                         {"features", "0", "favor: random features; 0: 2 D"},
                                         {"causal", "false", "row i sees columns up to first_row + i"},
                                         {"first_row", "0", "absolute index of row 0"},
                                         {"staircase_k", "none", "wait-k: row i sees (first_row + i + k) · staircase_ratio columns"},
                                         {"staircase_ratio", "1", "columns per step of the staircase"},
                                         {"eps", "0.1", "linear: floor of the row sum"},
                                         {"eps_mode", "clamp", "linear: clamp (max(z, eps)) or add (z + eps)"},
                                         {"scale", "none", "factor of q·k; none: 1/√D for softmax and structured, 1 for linear"}};
  for (OpAttribute& a : pattern_attributes()) attributes.push_back(std::move(a));   // structured; seed also of favor's features
  constexpr Fill::Kind kinks = Fill::away_from_zero;         // relu features: keep finite differences off the kink
  table.add({.name = "attention",
             .formula = "softmax: y = softmax(scale q kᵀ) v;  structured: the same over a pattern of keys;  linear: y = φ(q) Σ φ(k) vᵀ / floor(φ(q) Σ φ(k)), over the columns that the mask shows",
             .inputs = {{"q", "[B, H, T, D]"}, {"k", "[B, H, S, D]"}, {"v", "[B, H, S, D]"}, {"source_lengths", "i64 [B]", true, true}, {"target_lengths", "i64 [B]", true, true},
                        {"columns", "i64 [B, r]", true, true}, {"source_extent", "[B]", true, false, true}, {"target_extent", "[B]", true, false, true}},
             .attributes = attributes,
             .outputs = {"y"},
             .run = run,
             .examples = {{inputs(2, 2, 3, 5, 4), {}},
                          {inputs(1, 1, 1, 1, 1), {}},
                          {inputs(1, 2, 7, 7, 3), {{"causal", "true"}, {"scale", "0.7"}}},
                          {inputs(1, 1, 3, 9, 17), {{"causal", "true"}, {"first_row", "4"}}},
                          {inputs(1, 1, 5, 12, 2), {{"staircase_k", "2"}, {"staircase_ratio", "2"}}},
                          {with_lengths(inputs(2, 1, 4, 6, 3), {6, 2}, {3, 4}), {}},
                          {inputs(1, 1, 67, 70, 1), {{"causal", "true"}}},
                          {inputs(2, 2, 3, 5, 4, kinks), {{"family", "linear"}}},
                          {inputs(1, 1, 1, 1, 1, kinks), {{"family", "linear"}, {"eps_mode", "add"}}},
                          {inputs(1, 2, 7, 7, 3, kinks), {{"family", "linear"}, {"causal", "true"}, {"eps_mode", "add"}, {"eps", "0.5"}, {"scale", "0.7"}}},
                          {inputs(1, 1, 7, 5, 3, kinks), {{"family", "linear"}, {"causal", "true"}, {"eps", "2"}}},
                          {inputs(1, 1, 3, 9, 17, kinks), {{"family", "linear"}, {"causal", "true"}, {"first_row", "4"}}},
                          {inputs(1, 1, 5, 12, 2, kinks), {{"family", "linear"}, {"staircase_k", "2"}, {"staircase_ratio", "2"}}},
                          {with_lengths(inputs(2, 1, 4, 6, 3, kinks), {6, 2}, {3, 4}), {{"family", "linear"}, {"causal", "true"}}},
                          {inputs(1, 1, 131, 135, 1, kinks), {{"family", "linear"}, {"causal", "true"}}},
                          {inputs(2, 2, 3, 5, 4, kinks), {{"family", "linear"}, {"feature_map", "elu"}}},
                          {inputs(1, 1, 70, 70, 3, kinks), {{"family", "linear"}, {"feature_map", "elu"}, {"causal", "true"}, {"scale", "0.7"}}},
                          {inputs(2, 1, 4, 6, 3, kinks), {{"family", "linear"}, {"feature_map", "cosformer"}}},
                          {inputs(1, 2, 67, 67, 5, kinks), {{"family", "linear"}, {"feature_map", "cosformer"}, {"causal", "true"}}},
                          {with_extents(with_lengths(inputs(2, 1, 4, 6, 17, kinks), {6, 2}, {3, 4}), {7, 2.5}, {2, 9}), {{"family", "linear"}, {"feature_map", "cosformer"}}},
                          {inputs(1, 1, 5, 12, 2, kinks), {{"family", "linear"}, {"feature_map", "cosformer"}, {"staircase_k", "2"}, {"staircase_ratio", "2"}}},
                          {inputs(2, 1, 4, 6, 3), {{"family", "linear"}, {"feature_map", "favor"}, {"features", "7"}, {"seed", "3"}}},
                          {inputs(1, 1, 66, 66, 5), {{"family", "linear"}, {"feature_map", "favor"}, {"causal", "true"}, {"eps", "0.01"}}},
                          {inputs(2, 2, 9, 9, 3), {{"family", "structured"}, {"window", "2,0"}, {"random_keys", "1"}}},
                          {with_columns(inputs(1, 2, 70, 70, 4), {3, 60}), {{"family", "structured"}, {"window", "3"}, {"causal", "true"}, {"scale", "0.4"}}}}});
}

}  // namespace alinea
