// The characters (or phonemes) of a CTC model: vocab.json gives them ids, and <pad> is CTC's blank. A word delimiter, usually "|", stands for
// the space. Entries of several characters are never cut, and white space beside them belongs to them. A vocab.json that holds one vocabulary
// for each of several languages is read for the target_lang of tokenizer_config.json.
//
// transformers' decode(skip_special_tokens=True) drops blanks before it merges equal neighbours, and so loses double letters; here neighbours
// are always merged first.
#pragma once
#include <unordered_map>

#include "data/ctc/spans.h"
#include "data/tokenizers/atomic_tokens.h"
#include "data/tokenizers/tokenizer.h"

namespace alinea {

struct Transcript {
  struct Piece {
    std::string text;
    int64_t begin = 0, end = 0;  // frames
    bool operator==(const Piece&) const = default;
  };
  std::string text;                      // in lower case when the vocabulary knows no other
  std::vector<Piece> characters, words;  // as the vocabulary spells them; characters with the spaces
};

struct TranscriptOptions {
  bool keep_special = false;      // <s>, </s> and <unk> as they are spelt
  bool clean_up = false;          // "you ." -> "you.", "do n't" -> "don't", as transformers' clean_up_tokenization_spaces
};

class CtcTokenizer final : public Tokenizer {
 public:
  explicit CtcTokenizer(TokenizerFiles files);

  std::string_view kind() const override { return "Wav2Vec2CTCTokenizer"; }
  SpecialIds special() const override { return special_; }
  int32_t blank() const { return special_.pad; }
  int64_t size(Side) const override { return int64_t(pieces_.size()); }
  const std::string& piece(int32_t id, Side side) const override;
  std::optional<int32_t> find(std::string_view piece, Side side) const override;
  /// Every character one id; spaces become the delimiter; unknown characters <unk>.
  std::vector<int32_t> encode(std::string_view text, Side side) const override;
  /// Labels stand alone: nothing is put around them.
  std::vector<int32_t> frame(std::vector<int32_t> ids, Side side, std::string_view language) const override;
  std::vector<int32_t> decoder_input(std::span<const int32_t> labels) const override;  // Error{usage}: CTC has no decoder
  /// Of labels, not of frames: neighbours are not merged.
  std::string decode(std::span<const int32_t> ids, Side side, bool keep_special) const override;
  using Tokenizer::encode, Tokenizer::decode, Tokenizer::piece, Tokenizer::find, Tokenizer::size;

  /// Text, characters and words of what collapse(), a beam search or an alignment found.
  Transcript transcript(std::span<const LabelSpan> spans, const TranscriptOptions& options = {}) const;
  /// In lower case when do_lower_case is set, as the text of a transcript is.
  std::string spelling(std::string_view text) const;

 private:
  std::vector<std::string> pieces_;
  std::unordered_map<std::string, int32_t> ids_;
  SpecialIds special_;
  std::string delimiter_, space_;  // the token between words, and what a text has there
  bool lower_case_ = false;
  AtomicTokens atomic_;
};

/// The tokenizer of a directory that must be one for CTC: Error{data} for another kind.
std::unique_ptr<CtcTokenizer> open_ctc_tokenizer(const std::filesystem::path& directory);

/// Writes a directory with the characters of the sentences in the order of their code points, after <pad> <s> </s> <unk> |. `lower_case`: the
/// vocabulary is in upper case, texts are read in any case and written in lower case.
void make_ctc_tokenizer(std::span<const std::string> sentences, bool lower_case, const std::filesystem::path& directory);

}  // namespace alinea
