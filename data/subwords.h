// Subword pieces of sentencepiece (Kudo and Richardson 2018, arXiv 1808.06226): a text becomes ids and comes back from them without loss,
// but for what sentencepiece normalises (NFKC, repeated spaces) and characters outside the vocabulary.
// Ids: <pad> 0, </s> 1 (start and end of a sentence), <unk> 2, pieces from 3.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace alinea {

class Subwords {
 public:
  static constexpr int32_t pad = 0, edge = 1, unknown = 2;

  /// Throws Error{data} for a missing or damaged file, and for a model whose special ids are not those above.
  static Subwords load(const std::filesystem::path& path);
  static Subwords from_bytes(std::string bytes, const std::string& place);
  void save(const std::filesystem::path& path) const;

  int64_t size() const;
  const std::string& piece(int32_t id) const;  // "▁Hund"; ▁ stands for the space before it
  std::vector<int32_t> encode(std::string_view text) const;
  std::string decode(std::span<const int32_t> ids) const;

 private:
  struct Model;
  explicit Subwords(std::shared_ptr<const Model> model) : model_(std::move(model)) {}
  std::shared_ptr<const Model> model_;
};

struct SubwordTraining {
  std::string model = "bpe";      // bpe (Sennrich et al. 2016) or unigram (Kudo 2018)
  int64_t vocabulary = 8000;      // with the three special ids
  double character_coverage = 1;  // share of the characters that get a piece; the rest becomes <unk>
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
