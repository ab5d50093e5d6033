// alinea explain tokens: what a translation model reads, what its decoder reads, and what it is to write, id by id.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/explain.h"
#include "data/tokenizers/tokenizer.h"

namespace alinea {

namespace {

using json = nlohmann::ordered_json;

struct Column {
  std::string head;
  Side side;
  std::vector<int32_t> ids;
};

json json_of(const Tokenizer& tokenizer, const Column& column) {
  json pieces = json::array();
  for (const int32_t id : column.ids) pieces.push_back(tokenizer.piece(id, column.side));
  return {{"ids", column.ids}, {"pieces", pieces}};
}

}  // namespace

int explain_tokens(const ExplainOptions& o) {
  require(!o.family.empty(), "explain tokens: which model? alinea explain tokens DIR \"text\" --src en_XX --tgt de_DE");
  const auto tokenizer = open_tokenizer(o.family);
  const std::string target = o.target_text.empty() ? o.text : o.target_text;
  std::vector<Column> columns{{"encoder input", Side::source, tokenizer->encode(o.text, Side::source, o.source_language)}};
  const auto labels = tokenizer->encode(target, Side::target, o.target_language);
  columns.push_back({"decoder input", Side::target, tokenizer->decoder_input(labels)});
  columns.push_back({"labels", Side::target, labels});
  if (o.common.json) {
    print_json({{"tokenizer", tokenizer->kind()}, {"text", o.text}, {"target", target}, {"encoder_input", json_of(*tokenizer, columns[0])},
                {"decoder_input", json_of(*tokenizer, columns[1])}, {"labels", json_of(*tokenizer, columns[2])}});
    return 0;
  }
  TextTable table({{"", true}, {columns[0].head, true}, {""}, {columns[1].head, true}, {""}, {columns[2].head, true}, {""}});
  const size_t rows = std::max(columns[0].ids.size(), labels.size());
  for (size_t i = 0; i < rows; ++i) {
    std::vector<std::string> cells{std::to_string(i)};
    for (const Column& c : columns) {
      const bool there = i < c.ids.size();
      cells.push_back(there ? std::to_string(c.ids[i]) : "");
      cells.push_back(there ? tokenizer->piece(c.ids[i], c.side) : "");
    }
    table.row(std::move(cells));
  }
  fmt::print("{} with {} ids\n\n{}", tokenizer->kind(), tokenizer->size(), table.text());
  return 0;
}

}  // namespace alinea
