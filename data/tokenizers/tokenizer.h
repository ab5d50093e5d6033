// A tokenizer turns text into the ids that a model reads and writes, and back. Directories of transformers and those made here open alike:
//
//   MBartTokenizer, MBart50Tokenizer   sentencepiece.bpe.model, tokenizer_config.json
//   Speech2TextTokenizer               vocab.json, sentencepiece.bpe.model, tokenizer_config.json
//   Wav2Vec2CTCTokenizer               vocab.json, tokenizer_config.json
//   Subwords                           subwords.model, or subwords.src.model and subwords.tgt.model
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizers/files.h"

namespace alinea {

/// Of a translation: what the encoder reads, and what the decoder writes.
enum class Side { source, target };

/// -1: there is none.
struct SpecialIds {
  int32_t pad = -1, start = -1, end = -1, unknown = -1;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  virtual std::string_view kind() const = 0;  // as listed above
  virtual SpecialIds special() const = 0;
  virtual int64_t size(Side side) const = 0;
  /// Error{usage} for an id outside the vocabulary.
  virtual const std::string& piece(int32_t id, Side side) const = 0;
  virtual std::optional<int32_t> find(std::string_view piece, Side side) const = 0;
  int64_t size() const { return size(Side::target); }
  const std::string& piece(int32_t id) const { return piece(id, Side::target); }
  std::optional<int32_t> find(std::string_view piece) const { return find(piece, Side::target); }

  /// The ids of a text alone.
  virtual std::vector<int32_t> encode(std::string_view text, Side side) const = 0;
  /// `ids` with what belongs around them: end of sentence, language. Source: the encoder's input. Target: the labels, i.e. what the decoder is
  /// to write. An empty language is the one of tokenizer_config.json. Error{usage} for a language the tokenizer does not know.
  virtual std::vector<int32_t> frame(std::vector<int32_t> ids, Side side, std::string_view language = {}) const = 0;
  /// encode() and frame() at once.
  std::vector<int32_t> encode(std::string_view text, Side side, std::string_view language) const { return frame(encode(text, side), side, language); }
  /// What the decoder reads while it writes `labels`: as many ids, each one step late.
  virtual std::vector<int32_t> decoder_input(std::span<const int32_t> labels) const = 0;

  /// Text of ids; special ones (unknown and languages among them) are left out, or kept as they are spelt.
  virtual std::string decode(std::span<const int32_t> ids, Side side, bool keep_special = false) const = 0;
  std::string decode(std::span<const int32_t> ids) const { return decode(ids, Side::target); }

  /// The languages that it tells apart, if any.
  virtual std::vector<std::string> languages() const { return {}; }
  /// The language's id; Error{usage} lists what is known.
  int32_t language(std::string_view code) const;

  /// All its files, byte for byte as they were read. The folder must exist.
  void save(const std::filesystem::path& directory) const { files_.save(directory); }

 protected:
  explicit Tokenizer(TokenizerFiles files) : files_(std::move(files)) {}
  const TokenizerFiles& files() const { return files_; }

 private:
  virtual std::optional<int32_t> find_language(std::string_view code) const;
  TokenizerFiles files_;
};

/// Recognises which tokenizer a directory holds. Error{data} when there is none, or one that is damaged.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& directory);

}  // namespace alinea
