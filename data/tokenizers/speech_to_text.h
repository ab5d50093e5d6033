// The tokenizer of the S2T transformer (Wang et al. 2020, "fairseq S2T"): sentencepiece cuts the text, vocab.json gives the ids. Multilingual
// models have a "<lang:xx>" token for each language: labels <lang:xx> X </s>, decoder input </s> <lang:xx> X.
#pragma once
#include <unordered_map>

#include "data/tokenizers/atomic_tokens.h"
#include "data/tokenizers/sentencepiece.h"
#include "data/tokenizers/tokenizer.h"

namespace alinea {

class SpeechToTextTokenizer final : public Tokenizer {
 public:
  explicit SpeechToTextTokenizer(TokenizerFiles files);

  std::string_view kind() const override { return "Speech2TextTokenizer"; }
  SpecialIds special() const override { return special_; }
  int64_t size(Side) const override { return int64_t(pieces_.size()); }
  const std::string& piece(int32_t id, Side side) const override;
  std::optional<int32_t> find(std::string_view piece, Side side) const override;
  std::vector<int32_t> encode(std::string_view text, Side side) const override;
  std::vector<int32_t> frame(std::vector<int32_t> ids, Side side, std::string_view language) const override;
  std::vector<int32_t> decoder_input(std::span<const int32_t> labels) const override;
  std::string decode(std::span<const int32_t> ids, Side side, bool keep_special) const override;
  std::vector<std::string> languages() const override;
  using Tokenizer::encode, Tokenizer::decode, Tokenizer::piece, Tokenizer::find, Tokenizer::size;

 private:
  std::optional<int32_t> find_language(std::string_view code) const override;

  SentencePieces model_;
  std::vector<std::string> pieces_;
  std::unordered_map<std::string, int32_t> ids_;
  SpecialIds special_;
  std::string language_;  // of tokenizer_config.json
  bool lower_case_ = false, upper_case_ = false;
  AtomicTokens atomic_;
};

}  // namespace alinea
