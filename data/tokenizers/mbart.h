// mBART's tokenizer (Liu et al. 2020, arXiv 2001.08210; mBART-50: Tang et al. 2020, arXiv 2008.00401): a sentencepiece model whose ids are moved
// by fairseq's order of the special ones, then the language codes, then <mask>.
//
//   <s> 0   <pad> 1   </s> 2   <unk> 3   piece p of the model: p + 1 (p ≥ 3)   P + 1 … languages   P + 1 + L <mask>     (P pieces, L languages)
//
//              MBartTokenizer (25 languages)   MBart50Tokenizer (52 languages)
//   source     X </s> [language]               [language] X </s>
//   labels     X </s> [language]               [language] X </s>
//   decoder    [language] X </s>               </s> [language] X
//
// Where newer releases of transformers leave out the model's character map and cut at white space first, this follows sentencepiece, as fairseq
// does. Without sentencepiece.bpe.model (transformers 5 saves none) the pieces and scores of tokenizer.json are used.
#pragma once
#include <span>
#include <string_view>

#include "data/tokenizers/atomic_tokens.h"
#include "data/tokenizers/sentencepiece.h"
#include "data/tokenizers/tokenizer.h"

namespace alinea {

class MBartTokenizer final : public Tokenizer {
 public:
  static constexpr int32_t start = 0, pad = 1, end = 2, unknown = 3;

  explicit MBartTokenizer(TokenizerFiles files);

  std::string_view kind() const override { return fifty_ ? "MBart50Tokenizer" : "MBartTokenizer"; }
  SpecialIds special() const override { return {pad, start, end, unknown}; }
  int64_t size(Side) const override { return first_language_ + int64_t(tail_.size()); }
  const std::string& piece(int32_t id, Side side) const override;
  std::optional<int32_t> find(std::string_view piece, Side side) const override;
  std::vector<int32_t> encode(std::string_view text, Side side) const override;
  std::vector<int32_t> frame(std::vector<int32_t> ids, Side side, std::string_view language) const override;
  std::vector<int32_t> decoder_input(std::span<const int32_t> labels) const override;
  std::string decode(std::span<const int32_t> ids, Side side, bool keep_special) const override;
  std::vector<std::string> languages() const override;
  int32_t mask() const { return int32_t(first_language_ + int64_t(codes().size())); }
  using Tokenizer::encode, Tokenizer::decode, Tokenizer::piece, Tokenizer::find, Tokenizer::size;

 private:
  std::optional<int32_t> find_language(std::string_view code) const override;
  std::span<const std::string_view> codes() const;

  SentencePieces pieces_;
  bool fifty_ = false;
  int64_t first_language_ = 0;
  std::vector<std::string> tail_;  // languages, <mask>, added tokens
  std::string source_language_, target_language_;
  AtomicTokens atomic_;
};

/// The codes in the order of their ids: the 25 of mBART, or the 52 of mBART-50, which begin with the same 25.
std::span<const std::string_view> mbart_languages(bool fifty);

/// Trains a sentencepiece model and writes a directory that transformers opens as MBartTokenizer or MBart50Tokenizer. `options.vocabulary` counts
/// the pieces; the ids are 27 or 54 more. Error{data} as train_sentencepieces.
void train_mbart_tokenizer(std::span<const std::string> sentences, const SubwordTraining& options, bool fifty, const std::string& place,
                           const std::filesystem::path& directory);

}  // namespace alinea
