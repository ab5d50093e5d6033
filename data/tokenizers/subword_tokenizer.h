// The subwords of a model trained here, one vocabulary for both sides or one each. Source: X </s>. Labels: X </s>. Decoder input: </s> X.
#pragma once
#include "data/subwords.h"
#include "data/tokenizers/tokenizer.h"

namespace alinea {

class SubwordTokenizer final : public Tokenizer {
 public:
  explicit SubwordTokenizer(TokenizerFiles files);

  std::string_view kind() const override { return "Subwords"; }
  SpecialIds special() const override { return {Subwords::pad, Subwords::edge, Subwords::edge, Subwords::unknown}; }
  int64_t size(Side side) const override { return of(side).size(); }
  const std::string& piece(int32_t id, Side side) const override { return of(side).piece(id); }
  std::optional<int32_t> find(std::string_view piece, Side side) const override { return of(side).find(piece); }
  std::vector<int32_t> encode(std::string_view text, Side side) const override { return of(side).encode(text); }
  std::vector<int32_t> frame(std::vector<int32_t> ids, Side side, std::string_view language) const override;
  std::vector<int32_t> decoder_input(std::span<const int32_t> labels) const override;
  /// Unknown pieces are written " ⁇ ", as sentencepiece does.
  std::string decode(std::span<const int32_t> ids, Side side, bool keep_special) const override;
  using Tokenizer::encode, Tokenizer::decode, Tokenizer::piece, Tokenizer::find, Tokenizer::size;

  const SubwordPair& subwords() const { return pair_; }

 private:
  const Subwords& of(Side side) const { return side == Side::source ? pair_.source : pair_.target; }
  SubwordPair pair_;
};

}  // namespace alinea
