#include "data/vocabulary.h"

#include <fstream>

#include "data/manifest.h"
#include "engine/core/error.h"

namespace alinea {

Vocabulary::Vocabulary(std::vector<std::string> words, std::string_view place) : words_(std::move(words)) {
  for (size_t i = 0; i < words_.size(); ++i)
    require_data(ids_.emplace(words_[i], int32_t(i)).second, "vocabulary {}: '{}' occurs twice (again on line {}); remove one", place, words_[i], i + 1);
}

Vocabulary Vocabulary::target(const std::set<std::string>& words) {
  std::vector<std::string> all = {"<pad>", "</s>"};
  all.insert(all.end(), words.begin(), words.end());
  return Vocabulary(std::move(all), "target");
}

Vocabulary Vocabulary::source(const std::set<std::string>& words) {
  std::vector<std::string> all = {"<blank>"};
  all.insert(all.end(), words.begin(), words.end());
  return Vocabulary(std::move(all), "source");
}

Vocabulary Vocabulary::load(const std::filesystem::path& path) {
  std::ifstream file(path);
  require_data(file.good(), "vocabulary {}: cannot be opened; check the path, or prepare the data", path.string());
  std::vector<std::string> words;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    require_data(!line.empty(), "vocabulary {}: line {} is empty; expected one word a line", path.string(), words.size() + 1);
    words.push_back(line);
  }
  require_data(!words.empty(), "vocabulary {}: no words; prepare the data again", path.string());
  return Vocabulary(std::move(words), path.string());
}

void Vocabulary::save(const std::filesystem::path& path) const {
  std::ofstream file(path);
  for (const std::string& word : words_) file << word << '\n';
  file.close();
  if (!file.good()) fail(Exit::failed, "vocabulary {}: could not be written; check the folder and the disk's space", path.string());
}

std::optional<int32_t> Vocabulary::find(std::string_view word) const {
  const auto found = ids_.find(std::string(word));
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

const std::string& Vocabulary::word(int32_t id) const {
  require(id >= 0 && id < size(), "vocabulary: id {}; expected 0 … {}", id, size() - 1);
  return words_[id];
}

std::vector<int32_t> Vocabulary::encode(std::span<const std::string> words, std::string_view place) const {
  std::vector<int32_t> ids;
  for (const std::string& word : words) {
    const auto id = find(word);
    require_data(id.has_value(), "{}: '{}' is not in the vocabulary of {} words; use the vocabulary of this corpus, or prepare the data again", place,
                 word, size());
    ids.push_back(*id);
  }
  return ids;
}

std::vector<int32_t> Vocabulary::encode_text(std::string_view text, std::string_view place) const {
  return encode(split_text(text, ' '), place);
}

std::string Vocabulary::decode(std::span<const int32_t> ids, int32_t first) const {
  std::string text;
  for (const int32_t id : ids) {
    if (id < first) continue;
    if (!text.empty()) text += ' ';
    text += word(id);
  }
  return text;
}

}  // namespace alinea
