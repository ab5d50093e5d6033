#include "data/tokenizers/subword_tokenizer.h"

namespace alinea {

SubwordTokenizer::SubwordTokenizer(TokenizerFiles read) : Tokenizer(std::move(read)), pair_(SubwordPair::load(files().directory())) {}

std::vector<int32_t> SubwordTokenizer::frame(std::vector<int32_t> ids, Side, std::string_view code) const {
  if (!code.empty()) language(code);
  ids.push_back(Subwords::edge);
  return ids;
}

std::vector<int32_t> SubwordTokenizer::decoder_input(std::span<const int32_t> labels) const {
  std::vector<int32_t> ids(labels.begin(), labels.end());
  if (!ids.empty()) ids.insert(ids.begin(), Subwords::edge), ids.pop_back();
  return ids;
}

std::string SubwordTokenizer::decode(std::span<const int32_t> ids, Side side, bool keep_special) const {
  std::string text;
  std::vector<int32_t> stretch;
  const auto join = [&] {
    text += of(side).decode(stretch);
    stretch.clear();
  };
  for (const int32_t id : ids) {
    if (id != Subwords::pad && id != Subwords::edge) {
      stretch.push_back(id);
    } else if (keep_special) {
      join();
      text += piece(id, side);
    }
  }
  join();
  return text;
}

}  // namespace alinea
