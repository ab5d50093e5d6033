// Sentence pairs of a folder that `alinea data prepare text` made: texts, their subword ids, and how rare a source piece is.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/manifest.h"
#include "data/subwords.h"

namespace alinea {

class TextDataset {
 public:
  /// One split: SPLIT.tsv and the subword models. Throws Error{data} for missing or malformed files.
  static TextDataset open(const std::filesystem::path& folder, const std::string& split);

  int64_t size() const { return int64_t(rows_.size()); }
  const TextRow& row(int64_t i) const { return rows_[size_t(i)]; }
  const std::vector<int32_t>& source(int64_t i) const { return source_[size_t(i)]; }  // ids without start and end
  const std::vector<int32_t>& target(int64_t i) const { return target_[size_t(i)]; }
  /// Of each pair: the tokens of its longer side, with the end token.
  std::vector<int64_t> lengths() const;
  const SubwordPair& subwords() const { return subwords_; }

 private:
  explicit TextDataset(SubwordPair subwords) : subwords_(std::move(subwords)) {}
  SubwordPair subwords_;
  std::vector<TextRow> rows_;
  std::vector<std::vector<int32_t>> source_, target_;
};

/// In how many training sentences each source piece occurs: id -> count, with the number of sentences. idf = ln(sentences / count).
/// File: "# N sentences", then id, piece and count, separated by tabs, one id a line.
struct SentenceCounts {
  int64_t sentences = 0;
  std::vector<int64_t> of;
  static SentenceCounts count(const std::vector<std::vector<int32_t>>& sentences, int64_t vocabulary);
  static SentenceCounts load(const std::filesystem::path& path);
  void save(const std::filesystem::path& path, const Subwords& subwords) const;
};

/// The folder holds a text corpus (not speech).
bool is_text_corpus(const std::filesystem::path& folder);

}  // namespace alinea
