#include "data/tokenizers/mbart.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/tokenizers/unigram_model.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

constexpr std::string_view language_codes[] = {
    "ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN", "hi_IN", "it_IT", "ja_XX", "kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP",
    "nl_XX", "ro_RO", "ru_RU", "si_LK", "tr_TR", "vi_VN", "zh_CN", "af_ZA", "az_AZ", "bn_IN", "fa_IR", "he_IL", "hr_HR", "id_ID", "ka_GE", "km_KH", "mk_MK", "ml_IN",
    "mn_MN", "mr_IN", "pl_PL", "ps_AF", "pt_XX", "sv_SE", "sw_KE", "ta_IN", "te_IN", "th_TH", "tl_XX", "uk_UA", "ur_PK", "xh_ZA", "gl_ES", "sl_SI"};

const std::string special_pieces[] = {"<s>", "<pad>", "</s>", "<unk>"};

SentencePieces pieces_in(const TokenizerFiles& files) {
  if (!files.has("sentencepiece.bpe.model") && files.has("tokenizer.json"))
    return SentencePieces::from_bytes(unigram_model_of(files.json("tokenizer.json"), files.place("tokenizer.json")), files.place("tokenizer.json"));
  const std::string place = files.place("sentencepiece.bpe.model");
  SentencePieces pieces = SentencePieces::from_bytes(std::string(files.bytes("sentencepiece.bpe.model")), place);
  require_data(pieces.unknown() == 0 && pieces.start() == 1 && pieces.end() == 2,
               "{}: <unk>, <s> and </s> have the ids {}, {} and {}; expected 0, 1 and 2, as in mBART's models", place, pieces.unknown(), pieces.start(), pieces.end());
  return pieces;
}

// 25 or 52 languages: as tokenizer_config.json says, else as many as the model has words for.
bool has_fifty(const TokenizerFiles& files, int64_t pieces) {
  const std::string name = files.config().text("tokenizer_class");
  if (!name.empty()) return name.starts_with("MBart50");
  const int64_t words = model_words(files.directory());
  for (const bool fifty : {false, true})
    if (words == pieces + 2 + int64_t(mbart_languages(fifty).size())) return fifty;
  fail(Exit::data, "{}: neither tokenizer_config.json (tokenizer_class MBartTokenizer or MBart50Tokenizer) nor a vocab_size of {} or {} in config.json tells which mBART this is",
       files.directory().string(), pieces + 2 + int64_t(mbart_languages(false).size()), pieces + 2 + int64_t(mbart_languages(true).size()));
}

}  // namespace

std::span<const std::string_view> mbart_languages(bool fifty) { return std::span(language_codes).first(fifty ? 52 : 25); }

MBartTokenizer::MBartTokenizer(TokenizerFiles read) : Tokenizer(std::move(read)), pieces_(pieces_in(files())), fifty_(has_fifty(files(), pieces_.size())) {
  first_language_ = pieces_.size() + 1;
  const TokenizerSettings settings = files().config();
  source_language_ = settings.text("src_lang", "en_XX"), target_language_ = settings.text("tgt_lang");
  for (int32_t id = 0; id < 4; ++id) atomic_.add({.id = id, .text = special_pieces[id]});
  const auto add = [&](AddedToken token) {
    token.id = int32_t(size());
    tail_.push_back(token.text);
    atomic_.add(std::move(token));
  };
  for (const std::string_view code : codes()) add({.text = std::string(code)});
  add({.text = "<mask>", .strip_left = true});
  for (AddedToken& token : files().added_tokens(size())) add(std::move(token));
}

std::span<const std::string_view> MBartTokenizer::codes() const { return mbart_languages(fifty_); }

const std::string& MBartTokenizer::piece(int32_t id, Side) const {
  require(id >= 0 && id < size(), "{}: id {}; expected 0 … {}", kind(), id, size() - 1);
  if (id <= unknown) return special_pieces[id];
  return id < first_language_ ? pieces_.piece(id - 1) : tail_[size_t(id - first_language_)];
}

std::optional<int32_t> MBartTokenizer::find(std::string_view piece, Side) const {
  for (int32_t id = 0; id <= unknown; ++id)
    if (special_pieces[id] == piece) return id;
  if (const auto found = std::find(tail_.begin(), tail_.end(), piece); found != tail_.end()) return int32_t(first_language_ + (found - tail_.begin()));
  const auto id = pieces_.find(piece);
  return id && *id > pieces_.end() ? std::optional(*id + 1) : std::nullopt;
}

std::vector<int32_t> MBartTokenizer::encode(std::string_view text, Side) const {
  std::vector<int32_t> ids;
  for (const auto& part : atomic_.split(text)) {
    if (part.id >= 0) {
      ids.push_back(part.id);
      continue;
    }
    for (const int32_t id : pieces_.encode(part.text)) ids.push_back(id == pieces_.unknown() ? unknown : id + 1);
  }
  return ids;
}

std::vector<int32_t> MBartTokenizer::frame(std::vector<int32_t> ids, Side side, std::string_view language) const {
  const std::string_view code = !language.empty() ? language : side == Side::source ? source_language_ : target_language_;
  const int32_t id = Tokenizer::language(code);
  if (fifty_) ids.insert(ids.begin(), id);
  ids.push_back(end);
  if (!fifty_) ids.push_back(id);
  return ids;
}

std::vector<int32_t> MBartTokenizer::decoder_input(std::span<const int32_t> labels) const {
  std::vector<int32_t> ids(labels.begin(), labels.end());
  if (!ids.empty()) std::rotate(ids.begin(), ids.end() - 1, ids.end());
  return ids;
}

std::string MBartTokenizer::decode(std::span<const int32_t> ids, Side side, bool keep_special) const {
  static constexpr std::string_view space = "▁";
  std::string text;
  for (const int32_t id : ids) {
    if (atomic_.contains(id)) {
      if (keep_special) text += piece(id, side);
      continue;
    }
    for (std::string_view left = piece(id, side); !left.empty();) {
      const size_t at = left.find(space);
      text += left.substr(0, at);
      if (at == left.npos) break;
      text += ' ';
      left.remove_prefix(at + space.size());
    }
  }
  return text.starts_with(' ') ? text.substr(1) : text;
}

std::vector<std::string> MBartTokenizer::languages() const { return {codes().begin(), codes().end()}; }

std::optional<int32_t> MBartTokenizer::find_language(std::string_view code) const {
  const auto found = std::find(codes().begin(), codes().end(), code);
  return found == codes().end() ? std::nullopt : std::optional(int32_t(first_language_ + (found - codes().begin())));
}

void train_mbart_tokenizer(std::span<const std::string> sentences, const SubwordTraining& options, bool fifty, const std::string& place,
                           const std::filesystem::path& directory) {
  require(options.model == "unigram", "tokenizer: mBART's pieces are those of a unigram model, not {}", options.model);
  const SentencePieces pieces = train_sentencepieces(sentences, options, {.unknown = 0, .pad = {}, .start = 1, .end = 2}, place);
  make_folder(directory);
  pieces.save(directory / "sentencepiece.bpe.model");
  const nlohmann::ordered_json config = {{"tokenizer_class", fifty ? "MBart50Tokenizer" : "MBartTokenizer"}, {"src_lang", "en_XX"}, {"tgt_lang", nullptr}};
  write_atomically(directory / "tokenizer_config.json", config.dump(2) + "\n");
}

}  // namespace alinea
