// Words and their ids. Target vocabularies begin with <pad> (0) and </s> (1: start and end of a sentence), source ones with <blank> (0);
// the words follow in the order of their bytes. A file holds one word a line; the line (from 0) is the id.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace alinea {

class Vocabulary {
 public:
  static constexpr int32_t pad = 0, edge = 1;   // of a target vocabulary
  static constexpr int32_t blank = 0;           // of a source vocabulary

  static Vocabulary target(const std::set<std::string>& words);
  static Vocabulary source(const std::set<std::string>& words);
  /// Throws Error{data} for a missing or empty file and repeated words.
  static Vocabulary load(const std::filesystem::path& path);
  void save(const std::filesystem::path& path) const;

  int64_t size() const { return int64_t(words_.size()); }
  std::optional<int32_t> find(std::string_view word) const;
  const std::string& word(int32_t id) const;

  /// Ids of words. Throws Error{data} naming the word and `place` (an utterance, a file) for one that is not in the vocabulary.
  std::vector<int32_t> encode(std::span<const std::string> words, std::string_view place) const;
  /// The same for words separated by spaces.
  std::vector<int32_t> encode_text(std::string_view text, std::string_view place) const;
  /// Words joined by spaces; `first` (the number of special ids, 2 for a target) leaves out ids below it.
  std::string decode(std::span<const int32_t> ids, int32_t first = 2) const;

 private:
  explicit Vocabulary(std::vector<std::string> words, std::string_view place);
  std::vector<std::string> words_;
  std::unordered_map<std::string, int32_t> ids_;
};

}  // namespace alinea
