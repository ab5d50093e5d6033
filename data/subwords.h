// The subword pieces of a text model that is trained here: a sentencepiece model with its special ids first.
// Ids: <pad> 0, </s> 1 (start and end of a sentence), <unk> 2, pieces from 3.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizers/sentencepiece.h"

namespace alinea {

class Subwords {
 public:
  static constexpr int32_t pad = 0, edge = 1, unknown = 2;

  /// Throws Error{data} for a missing or damaged file, and for a model whose special ids are not those above.
  static Subwords load(const std::filesystem::path& path);
  void save(const std::filesystem::path& path) const { pieces_.save(path); }

  int64_t size() const { return pieces_.size(); }
  const std::string& piece(int32_t id) const { return pieces_.piece(id); }
  std::optional<int32_t> find(std::string_view piece) const { return pieces_.find(piece); }
  std::vector<int32_t> encode(std::string_view text) const { return pieces_.encode(text); }
  std::string decode(std::span<const int32_t> ids) const { return pieces_.decode(ids); }

 private:
  friend Subwords train_subwords(std::span<const std::string> sentences, const SubwordTraining& options, const std::string& place);
  explicit Subwords(SentencePieces pieces) : pieces_(std::move(pieces)) {}
  SentencePieces pieces_;
};

/// A pure function of sentences and options. Throws Error{data}, naming `place`, when the sentences cannot fill the vocabulary.
Subwords train_subwords(std::span<const std::string> sentences, const SubwordTraining& options, const std::string& place);

/// The vocabularies of a translation: one for both sides (subwords.model) or one each (subwords.src.model, subwords.tgt.model).
struct SubwordPair {
  Subwords source, target;
  bool joint = false;
  static SubwordPair load(const std::filesystem::path& folder);
  void save(const std::filesystem::path& folder) const;
};

}  // namespace alinea
