#include "autograd/rows/structured.h"

#include <charconv>

#include "autograd/rows/rows.h"
#include "autograd/structured_attention.h"

namespace alinea {

namespace {

// "1,2,3"; empty: no numbers.
std::vector<int64_t> whole_numbers(const OpCall& call, const std::string& name) {
  const std::string text = call.text(name);
  std::vector<int64_t> numbers;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    int64_t n = 0;
    const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, n);
    require(error == std::errc() && stop == text.data() + end, "op: attribute {}='{}' must be whole numbers with commas between", name, text);
    numbers.push_back(n);
    begin = end + 1;
  }
  return numbers;
}

std::vector<Variable> run(const OpCall& c) {
  StructuredAttention op{.pattern = pattern_of(c, c.in("q").size(1))};
  if (!c.text("scale").empty()) op.scale = c.number("scale");
  if (c.number("dropout") > 0) op.dropout = c.number("dropout"), op.key = RandomKey{uint64_t(c.integer("seed"))}.child("dropout");
  return {structured_attention(c.in("q"), c.in("k"), c.in("v"), c.in("band_bias"), c.in("column_bias"), op)};
}

std::map<std::string, Fill> inputs(int64_t B, int64_t H, int64_t T, int64_t S, int64_t D, int64_t w = -1) {
  std::map<std::string, Fill> in = {{"q", {{B, H, T, D}}}, {"k", {{B, H, S, D}}}, {"v", {{B, H, S, D}}}};
  if (w >= 0) in["band_bias"] = {{H, 2 * w + 1}}, in["column_bias"] = {{H}};
  return in;
}
std::map<std::string, Fill> with_columns(std::map<std::string, Fill> in, int64_t B, std::vector<double> columns) {
  const auto r = int64_t(columns.size()) / B;
  in["columns"] = Fill::ids({B, r}, std::move(columns));
  return in;
}
std::map<std::string, Fill> with_lengths(std::map<std::string, Fill> in, std::vector<double> source, std::vector<double> target) {
  const auto B = int64_t(source.size());
  in["source_lengths"] = Fill::ids({B}, std::move(source)), in["target_lengths"] = Fill::ids({B}, std::move(target));
  return in;
}

}  // namespace

StructuredPattern pattern_of(const OpCall& c, int64_t heads) {
  StructuredPattern p;
  const auto windows = whole_numbers(c, "window");
  require(windows.size() == 1 || int64_t(windows.size()) == heads, "op: attribute window='{}' has {} numbers; give one, or one for each of {} heads", c.text("window"),
          windows.size(), heads);
  HeadPattern head{.global_rows = whole_numbers(c, "global_rows"), .block_ends = ends_of(whole_numbers(c, "blocks")), .random_keys = c.integer("random_keys")};
  std::sort(head.global_rows.begin(), head.global_rows.end());
  if (!c.text("column_extent").empty()) head.column_extent = c.integer("column_extent");
  p.heads.assign(windows.size(), head);
  for (size_t h = 0; h < windows.size(); ++h) p.heads[h].half_width = windows[h];
  if (c.flag("causal")) p.mask.rule = Mask::Rule::causal;
  p.mask.first_row = c.integer("first_row");
  p.mask.source_lengths = c.lengths("source_lengths"), p.mask.target_lengths = c.lengths("target_lengths");
  if (const Tensor columns = c.tensor("columns")) p.columns = fixed_columns(columns.values<int64_t>(), columns.size(0));
  p.key = RandomKey{uint64_t(c.integer("seed"))};
  return p;
}

std::vector<OpAttribute> pattern_attributes() {
  return {{"window", "1", "row i reads |i - j| <= window; one number or one per head"},
          {"column_extent", "none", "rows |i - c| <= column_extent read column c; none: all rows"},
          {"global_rows", "none", "i,j,...: rows that read everything"},
          {"blocks", "none", "len,len,...: diagonal blocks, a row reads its own"},
          {"random_keys", "0", "random keys drawn for each row"},
          {"seed", "0", "seed of everything random"}};
}

void register_structured_rows(OpTable& table) {
  auto attributes = pattern_attributes();
  attributes.insert(attributes.end(), {{"causal", "false", "row i reads no key past first_row + i"},
                                       {"first_row", "0", "position of row 0 among the keys"},
                                       {"scale", "none", "factor of q·k; none: 1/√D"},
                                       {"dropout", "0", "probability with which a weight is dropped"}});
  table.add({.name = "structured_attention",
             .formula = "y = softmax(scale q kᵀ + band_bias[w + j − i] + column_bias) v over band, blocks, columns and random keys of each row",
             .inputs = {{"q", "[B, H, T, D]"}, {"k", "[B, H, S, D]"}, {"v", "[B, H, S, D]"}, {"band_bias", "[H, 2w + 1]", true}, {"column_bias", "[H]", true},
                        {"columns", "i64 [B, r]", true, true}, {"source_lengths", "i64 [B]", true, true}, {"target_lengths", "i64 [B]", true, true}},
             .attributes = attributes,
             .outputs = {"y"},
             .run = run,
             .examples = {{inputs(1, 1, 1, 1, 1), {}},
                          {inputs(2, 2, 9, 9, 3, 2), {{"window", "2"}, {"scale", "0.7"}}},
                          {with_columns(inputs(2, 2, 11, 11, 4, 3), 2, {0, 5, 5, -1, 10, 7}), {{"window", "3,0"}, {"causal", "true"}}},
                          {with_columns(inputs(1, 1, 37, 37, 3, 1), 1, {30, 2}), {{"column_extent", "8"}, {"random_keys", "2"}, {"seed", "3"}}},
                          {inputs(1, 2, 7, 7, 17), {{"window", "0"}, {"blocks", "2,4"}, {"global_rows", "5,1"}}},
                          {with_lengths(with_columns(inputs(2, 1, 6, 6, 2, 1), 2, {0, 1}), {6, 2}, {5, 6}), {{"random_keys", "1"}}},
                          {with_columns(inputs(1, 1, 2, 12, 2), 1, {1}), {{"causal", "true"}, {"first_row", "9"}, {"window", "3"}}},
                          {with_columns(inputs(1, 2, 8, 8, 2, 9), 1, {6}), {{"window", "9"}, {"dropout", "0.3"}, {"seed", "5"}, {"random_keys", "1"}}},
                          {with_columns(inputs(1, 1, 70, 70, 1, 4), 1, {0, 69, 33}), {{"window", "4"}, {"dropout", "0.2"}, {"global_rows", "64"}, {"random_keys", "2"}}}}});
}

}  // namespace alinea
