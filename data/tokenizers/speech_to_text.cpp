#include "data/tokenizers/speech_to_text.h"

#include <nlohmann/json.hpp>

#include "data/scores/words.h"
#include "engine/core/error.h"

namespace alinea {

namespace {

constexpr std::string_view language_prefix = "<lang:";

bool is_language(std::string_view piece) { return piece.starts_with(language_prefix) && piece.ends_with('>'); }

}  // namespace

SpeechToTextTokenizer::SpeechToTextTokenizer(TokenizerFiles read)
    : Tokenizer(std::move(read)),
      model_(SentencePieces::from_bytes(std::string(files().bytes("sentencepiece.bpe.model")), files().place("sentencepiece.bpe.model"))),
      pieces_(pieces_of(files().json("vocab.json"), files().place("vocab.json"))) {
  const TokenizerSettings settings = files().config();
  for (const AddedToken& token : files().added_tokens(size())) {
    pieces_.push_back(token.text);
    atomic_.add(token);
  }
  for (size_t id = 0; id < pieces_.size(); ++id) {
    ids_[pieces_[id]] = int32_t(id);
    if (is_language(pieces_[id])) atomic_.add({.id = int32_t(id), .text = pieces_[id]});
  }
  const auto id_of = [&](const char* key, const char* otherwise) {
    const std::string text = settings.text(key, otherwise);
    const auto id = find(text);
    require_data(id.has_value(), "{}: has no '{}' ({})", files().place("vocab.json"), text, key);
    atomic_.add({.id = *id, .text = text});
    return *id;
  };
  special_ = {.pad = id_of("pad_token", "<pad>"), .start = id_of("bos_token", "<s>"), .end = id_of("eos_token", "</s>"), .unknown = id_of("unk_token", "<unk>")};
  lower_case_ = settings.flag("do_lower_case", false), upper_case_ = settings.flag("do_upper_case", false);
  language_ = settings.text("tgt_lang");
}

const std::string& SpeechToTextTokenizer::piece(int32_t id, Side) const {
  require(id >= 0 && id < size(), "{}: id {}; expected 0 … {}", kind(), id, size() - 1);
  return pieces_[size_t(id)];
}

std::optional<int32_t> SpeechToTextTokenizer::find(std::string_view piece, Side) const {
  const auto found = ids_.find(std::string(piece));
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<int32_t> SpeechToTextTokenizer::encode(std::string_view text, Side) const {
  std::vector<int32_t> ids;
  for (const auto& part : atomic_.split(text)) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    for (const std::string& piece : model_.split(lower_case_ ? lower_case(part.text) : std::string(part.text)))
      ids.push_back(find(piece).value_or(special_.unknown));
  }
  return ids;
}

std::vector<int32_t> SpeechToTextTokenizer::frame(std::vector<int32_t> ids, Side, std::string_view language) const {
  const auto known = languages();
  if (!language.empty() || !known.empty())
    ids.insert(ids.begin(), Tokenizer::language(!language.empty() ? language : !language_.empty() ? language_ : known.front()));
  ids.push_back(special_.end);
  return ids;
}

std::vector<int32_t> SpeechToTextTokenizer::decoder_input(std::span<const int32_t> labels) const {
  std::vector<int32_t> ids(labels.begin(), labels.end());
  if (!ids.empty()) ids.insert(ids.begin(), special_.end), ids.pop_back();
  return ids;
}

std::string SpeechToTextTokenizer::decode(std::span<const int32_t> ids, Side side, bool keep_special) const {
  std::string text;
  std::vector<std::string> pieces;
  const auto join = [&] {
    const std::string joined = model_.join(pieces);
    text += upper_case_ ? upper_case(joined) : joined;
    pieces.clear();
  };
  for (const int32_t id : ids) {
    if (!atomic_.contains(id)) {
      pieces.push_back(piece(id, side));
    } else if (keep_special) {
      join();
      text += piece(id, side) + " ";
    }
  }
  join();
  return std::string(strip(text));
}

std::vector<std::string> SpeechToTextTokenizer::languages() const {
  std::vector<std::string> codes;
  for (const std::string& piece : pieces_)
    if (is_language(piece)) codes.push_back(piece.substr(language_prefix.size(), piece.size() - language_prefix.size() - 1));
  return codes;
}

std::optional<int32_t> SpeechToTextTokenizer::find_language(std::string_view code) const {
  return find(std::string(language_prefix) + std::string(code) + ">");
}

}  // namespace alinea
