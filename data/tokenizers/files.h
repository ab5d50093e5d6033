// The files of a tokenizer in a directory. They are mapped, and stay readable when the directory is replaced.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/files.h"

namespace alinea {

/// Settings of tokenizer_config.json; where it is silent, those of special_tokens_map.json.
class TokenizerSettings {
 public:
  TokenizerSettings(std::string place, std::shared_ptr<const nlohmann::json> values) : place_(std::move(place)), values_(std::move(values)) {}
  /// A string; the "content" of a token written as an object; `otherwise` when missing or null. Error{data} for another type.
  std::string text(const std::string& key, std::string_view otherwise = "") const;
  bool flag(const std::string& key, bool otherwise) const;

 private:
  std::string place_;
  std::shared_ptr<const nlohmann::json> values_;
};

/// A token that was added to a vocabulary, and is never cut.
struct AddedToken {
  int32_t id = 0;
  std::string text;
  bool strip_left = false, strip_right = false;  // white space beside it belongs to it
};

class TokenizerFiles {
 public:
  explicit TokenizerFiles(std::filesystem::path directory);
  bool has(const std::string& name) const { return files_.contains(name); }
  /// Error{data} naming the file when it is missing.
  std::string_view bytes(const std::string& name) const;
  nlohmann::json json(const std::string& name) const;
  std::string place(const std::string& name) const { return (directory_ / name).string(); }
  const std::filesystem::path& directory() const { return directory_; }
  TokenizerSettings config() const;
  /// Of added_tokens.json and tokenizer_config.json, from `first_id` on, by id. Error{data} when ids are missing between them.
  std::vector<AddedToken> added_tokens(int64_t first_id) const;
  void save(const std::filesystem::path& directory) const;

 private:
  std::filesystem::path directory_;
  std::map<std::string, std::shared_ptr<const MappedFile>> files_;
};

/// vocab.json: pieces by id. Error{data}, naming `place`, unless the ids are 0, 1, … without gap or repetition.
std::vector<std::string> pieces_of(const nlohmann::json& vocabulary, const std::string& place);

/// The number of words of the model beside the tokenizer, from config.json; 0 when it does not say.
int64_t model_words(const std::filesystem::path& directory);

}  // namespace alinea
