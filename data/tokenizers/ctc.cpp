#include "data/tokenizers/ctc.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "data/scores/words.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

using nlohmann::json;

json vocabulary_in(const TokenizerFiles& files) {
  const std::string place = files.place("vocab.json"), language = files.config().text("target_lang");
  json all = files.json("vocab.json");
  const bool nested = !all.empty() && all.begin()->is_object();
  if (!nested) return all;
  std::vector<std::string> known;
  for (const auto& [name, vocabulary] : all.items()) known.push_back(name);
  require_data(!language.empty(), "{}: has one vocabulary for each of {} languages, and tokenizer_config.json names no target_lang", place, known.size());
  require_data(all.contains(language) && all[language].is_object(), "{}: has no vocabulary for target_lang '{}'; it has {}", place, language, fmt::join(known, " "));
  return all[language];
}

// What transformers' clean_up_tokenization replaces, in its order.
constexpr std::pair<std::string_view, std::string_view> clean_ups[] = {{" .", "."},   {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
                                                                       {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size()) text.replace(at, from.size(), to);
}

std::vector<Transcript::Piece> words_of(const std::vector<Transcript::Piece>& characters, const std::string& space) {
  std::vector<Transcript::Piece> words;
  bool within = false;
  for (const auto& c : characters) {
    if (c.text == space) within = false;
    else if (within) words.back().text += c.text, words.back().end = c.end;
    else words.push_back(c), within = true;
  }
  return words;
}

}  // namespace

CtcTokenizer::CtcTokenizer(TokenizerFiles read) : Tokenizer(std::move(read)) {
  const TokenizerSettings settings = files().config();
  pieces_ = pieces_of(vocabulary_in(files()), files().place("vocab.json"));
  for (const AddedToken& token : files().added_tokens(int64_t(pieces_.size()))) pieces_.push_back(token.text);
  for (size_t id = 0; id < pieces_.size(); ++id) {
    ids_[pieces_[id]] = int32_t(id);
    if (code_points(pieces_[id]).size() > 1) atomic_.add({.id = int32_t(id), .text = pieces_[id], .strip_left = true, .strip_right = true});
  }
  delimiter_ = settings.text("word_delimiter_token", "|"), space_ = settings.text("replace_word_delimiter_char", " ");
  lower_case_ = settings.flag("do_lower_case", false);
  const auto id_of = [&](const char* key, const char* otherwise) { return find(settings.text(key, otherwise)).value_or(-1); };
  special_ = {.pad = id_of("pad_token", "<pad>"), .start = id_of("bos_token", "<s>"), .end = id_of("eos_token", "</s>"), .unknown = id_of("unk_token", "<unk>")};
  require_data(special_.pad >= 0, "{}: has no '{}' (pad_token), which is CTC's blank", files().place("vocab.json"), settings.text("pad_token", "<pad>"));
}

const std::string& CtcTokenizer::piece(int32_t id, Side) const {
  require(id >= 0 && id < size(), "{}: id {}; expected 0 … {}", kind(), id, size() - 1);
  return pieces_[size_t(id)];
}

std::optional<int32_t> CtcTokenizer::find(std::string_view piece, Side) const {
  const auto found = ids_.find(std::string(piece));
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<int32_t> CtcTokenizer::encode(std::string_view text, Side) const {
  std::vector<int32_t> ids;
  for (const auto& part : atomic_.split(text)) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    for (const char32_t c : code_points(lower_case_ ? upper_case(part.text) : std::string(part.text))) {
      const std::string character = c == U' ' ? delimiter_ : utf8(c);
      const auto id = find(character);
      require_data(id || special_.unknown >= 0, "{}: has neither '{}' nor an unknown token for it", files().place("vocab.json"), character);
      ids.push_back(id.value_or(special_.unknown));
    }
  }
  return ids;
}

std::vector<int32_t> CtcTokenizer::frame(std::vector<int32_t> ids, Side, std::string_view language) const {
  if (!language.empty()) Tokenizer::language(language);
  return ids;
}

std::vector<int32_t> CtcTokenizer::decoder_input(std::span<const int32_t>) const {
  fail(Exit::usage, "{}: a CTC model has no decoder, and so no decoder input", kind());
}

std::string CtcTokenizer::decode(std::span<const int32_t> ids, Side, bool keep_special) const {
  return transcript(one_by_one(ids, blank()), {.keep_special = keep_special}).text;
}

std::string CtcTokenizer::spelling(std::string_view text) const { return lower_case_ ? lower_case(text) : std::string(text); }

Transcript CtcTokenizer::transcript(std::span<const LabelSpan> spans, const TranscriptOptions& options) const {
  Transcript t;
  for (const LabelSpan& s : spans) {
    const bool outside = s.label < 0 || s.label >= size();  // a model may have more outputs than the vocabulary has entries
    const int32_t label = outside ? special_.unknown : s.label;
    const bool is_special = label < 0 || label == special_.start || label == special_.end || label == special_.unknown || label == special_.pad;
    if (is_special && (!options.keep_special || label < 0)) continue;
    const std::string& piece = pieces_[size_t(label)];
    t.characters.push_back({piece == delimiter_ ? space_ : piece, s.begin, s.end});
    t.text += t.characters.back().text;
  }
  t.words = words_of(t.characters, space_);
  t.text = spelling(strip(t.text));
  if (options.clean_up)
    for (const auto& [from, to] : clean_ups) replace_all(t.text, from, to);
  return t;
}

std::unique_ptr<CtcTokenizer> open_ctc_tokenizer(const std::filesystem::path& directory) {
  std::unique_ptr<Tokenizer> any = open_tokenizer(directory);
  require_data(any->kind() == "Wav2Vec2CTCTokenizer", "{}: its tokenizer is a {}; a CTC model needs a Wav2Vec2CTCTokenizer (vocab.json)", directory.string(), any->kind());
  return std::unique_ptr<CtcTokenizer>(static_cast<CtcTokenizer*>(any.release()));
}

void make_ctc_tokenizer(std::span<const std::string> sentences, bool lower_case, const std::filesystem::path& directory) {
  std::set<char32_t> characters;
  for (const std::string& sentence : sentences)
    for (const char32_t c : code_points(lower_case ? upper_case(sentence) : sentence))
      if (!is_white_space(c) && c != U'|') characters.insert(c);
  require_data(!characters.empty(), "tokenizer: the sentences hold no characters");
  nlohmann::ordered_json vocabulary = {{"<pad>", 0}, {"<s>", 1}, {"</s>", 2}, {"<unk>", 3}, {"|", 4}};
  for (const char32_t c : characters) {
    const size_t id = vocabulary.size();
    vocabulary[utf8(c)] = id;
  }
  const nlohmann::ordered_json config = {{"tokenizer_class", "Wav2Vec2CTCTokenizer"}, {"pad_token", "<pad>"},           {"bos_token", "<s>"},
                                         {"eos_token", "</s>"},                       {"unk_token", "<unk>"},           {"word_delimiter_token", "|"},
                                         {"replace_word_delimiter_char", " "},        {"do_lower_case", lower_case}};
  make_folder(directory);
  write_atomically(directory / "vocab.json", vocabulary.dump(2) + "\n");
  write_atomically(directory / "tokenizer_config.json", config.dump(2) + "\n");
}

}  // namespace alinea
