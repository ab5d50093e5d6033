// Sentence pairs of a folder that `alinea data prepare text` made: texts, the ids that a tokenizer gives them, and how rare a source piece is.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/manifest.h"
#include "data/tokenizers/tokenizer.h"

namespace alinea {

class TextDataset {
 public:
  /// One split: SPLIT.tsv, as the tokenizer writes it; without one the folder's own. Throws Error{data} for missing or malformed files.
  static TextDataset open(const std::filesystem::path& folder, const std::string& split, std::shared_ptr<const Tokenizer> tokenizer = nullptr);

  int64_t size() const { return int64_t(rows_.size()); }
  const TextRow& row(int64_t i) const { return rows_[size_t(i)]; }
  const std::vector<int32_t>& source(int64_t i) const { return source_[size_t(i)]; }  // what the encoder reads: with end and language
  const std::vector<int32_t>& labels(int64_t i) const { return labels_[size_t(i)]; }  // what the decoder is to write, likewise
  /// Of each pair: the tokens of its longer side.
  std::vector<int64_t> lengths() const;
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  explicit TextDataset(std::shared_ptr<const Tokenizer> tokenizer) : tokenizer_(std::move(tokenizer)) {}
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<TextRow> rows_;
  std::vector<std::vector<int32_t>> source_, labels_;
};

/// The tokenizer's code for a language: the same, or the only one that begins with it ("de" -> "de_DE"); empty for a tokenizer that tells no
/// languages apart. Error{usage} lists those it knows.
std::string language_code(const Tokenizer& tokenizer, const std::string& language);

/// In how many training sentences each source piece occurs: id -> count, with the number of sentences. idf = ln(sentences / count).
/// File: "# N sentences", then id, piece and count, separated by tabs, one id a line.
struct SentenceCounts {
  int64_t sentences = 0;
  std::vector<int64_t> of;
  static SentenceCounts count(const std::vector<std::vector<int32_t>>& sentences, int64_t vocabulary);
  static SentenceCounts load(const std::filesystem::path& path);
  void save(const std::filesystem::path& path, const Tokenizer& tokenizer, Side side) const;
};

/// The folder holds a text corpus (not speech).
bool is_text_corpus(const std::filesystem::path& folder);

}  // namespace alinea
