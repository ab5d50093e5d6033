// Models of sentencepiece (Kudo and Richardson 2018, arXiv 1808.06226): a text becomes pieces and comes back from them without loss, but for
// what the model normalises (NFKC, repeated spaces) and for characters outside its vocabulary. The ids here are the model's own; the
// tokenizers built on it give theirs.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace alinea {

class SentencePieces {
 public:
  /// Throw Error{data}, naming the place, for a missing or damaged model.
  static SentencePieces load(const std::filesystem::path& path);
  static SentencePieces from_bytes(std::string bytes, const std::string& place);
  void save(const std::filesystem::path& path) const;
  const std::string& bytes() const;

  int64_t size() const;
  const std::string& piece(int32_t id) const;  // "▁Hund"; ▁ stands for the space before it
  float score(int32_t id) const;
  std::optional<int32_t> find(std::string_view piece) const;
  /// The special ids of the model; -1 for one it does not have.
  int32_t pad() const;
  int32_t start() const;
  int32_t end() const;
  int32_t unknown() const;
  std::vector<int32_t> encode(std::string_view text) const;
  /// The pieces as text: as encode() cuts it, but unknown characters as they stand.
  std::vector<std::string> split(std::string_view text) const;
  std::string decode(std::span<const int32_t> ids) const;
  /// Joins pieces, of which some may not be in the vocabulary.
  std::string join(const std::vector<std::string>& pieces) const;

 private:
  struct Model;
  explicit SentencePieces(std::shared_ptr<const Model> model) : model_(std::move(model)) {}
  std::shared_ptr<const Model> model_;
};

struct SubwordTraining {
  std::string model = "bpe";      // bpe (Sennrich et al. 2016) or unigram (Kudo 2018)
  int64_t vocabulary = 8000;      // with the special ids
  double character_coverage = 1;  // share of the characters that get a piece; the rest becomes <unk>
};

/// Where a trained model has its special ids; nothing: it has none.
struct SpecialPieces {
  int32_t unknown = 0;
  std::optional<int32_t> pad, start, end;
};

/// A pure function of its arguments. Throws Error{data}, naming `place`, when the sentences cannot fill the vocabulary.
SentencePieces train_sentencepieces(std::span<const std::string> sentences, const SubwordTraining& options, const SpecialPieces& special,
                                    const std::string& place);

}  // namespace alinea
