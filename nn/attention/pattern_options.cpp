#include "nn/attention/pattern_options.h"

#include <nlohmann/json.hpp>

namespace alinea {

void PatternOptions::fields(Config& c) {
  c.field("window", window, "half width w of the band |i − j| ≤ w: a number, or a list with one per head");
  c.field("columns", columns, "columns that all rows read: the rarest tokens of the sentence (of its beginning, for causal rows)");
  c.field("column_extent", column_extent, "a column serves rows at most so far from it; -1: all rows");
  c.field("once_per_token", once_per_token, "a token that occurs several times is a column only where it stands first");
  c.field("global_rows", global_rows, "rows that read everything");
  c.field("blocks", blocks, "lengths of diagonal blocks from position 0 on; a row reads its whole block");
  c.field("random_keys", random_keys, "further keys drawn per row");
}

std::vector<HeadPattern> PatternOptions::heads(std::string_view family, int64_t count) const {
  const auto j = nlohmann::json::parse(window.text);
  std::vector<int64_t> widths;
  for (const auto& one : j.is_array() ? j : nlohmann::json::array({j})) {
    require(one.is_number_integer() && one.get<int64_t>() >= 0, "attention {}: window {} is not a number of at least 0, or a list of such", family, window.text);
    widths.push_back(one.get<int64_t>());
  }
  require(widths.size() == 1 || int64_t(widths.size()) == count, "attention {}: window lists {} heads, there are {}", family, widths.size(), count);
  require(columns >= 0 && random_keys >= 0 && column_extent >= -1, "attention {}: columns {}, random_keys {} must not be negative, column_extent {} at least -1", family,
          columns, random_keys, column_extent);
  std::vector<HeadPattern> heads;
  for (const int64_t w : widths)
    heads.push_back({.half_width = w, .columns = columns > 0, .column_extent = column_extent, .global_rows = global_rows, .block_ends = ends_of(blocks), .random_keys = random_keys});
  return heads;
}

StructuredPattern PatternOptions::pattern(std::string_view family, const AttentionInput& in, const AttentionRole& role) const {
  StructuredPattern p{.heads = heads(family, role.heads), .columns = {}, .mask = in.mask, .key = role.key.child("random keys")};
  if (columns == 0) return p;
  const int64_t B = in.v.size(0), S = in.v.size(2);
  require(bool(in.rarity), "attention {}: columns are chosen by the rarity of tokens, and this block's columns are no tokens of known rarity; set columns to 0", family);
  require(in.rarity.shape() == (Shape{B, S}), "attention {}: rarity is {}, the keys have {} columns in {} items", family, in.rarity.shape(), S, B);
  require(!once_per_token || in.tokens, "attention {}: once_per_token needs the tokens, which this block does not know", family);
  const auto tokens = once_per_token ? in.tokens.values<int64_t>() : std::vector<int64_t>();
  p.columns = rare_columns(in.rarity.values<double>(), B, in.mask.source_lengths, columns, in.mask.rule == Mask::Rule::causal, tokens);
  return p;
}

double PatternOptions::pairs_per_row(const AttentionRole& role) const {
  double band = 0;
  const auto all = heads("structured", role.heads);
  for (const HeadPattern& h : all) band += double(2 * h.half_width + 1) / double(all.size());
  return band + double(columns + random_keys);
}

Variable parameter_input(Tape* tape, Parameter& p, DType dtype) {
  if (!p.value) return {};
  return p.value.dtype() == dtype ? on(tape, p) : Variable(p.value.to(dtype));
}

}  // namespace alinea
