#include "data/tokenizers/files.h"

#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace alinea {
namespace {

using nlohmann::json;

constexpr const char* names[] = {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",  "tokenizer.json",    "vocab.json",
                                 "sentencepiece.bpe.model", "subwords.model",        "subwords.src.model", "subwords.tgt.model"};

json parse(std::string_view bytes, const std::string& place) {
  try {
    return json::parse(bytes);
  } catch (const json::exception& e) {
    fail(Exit::data, "{}: this is no JSON ({})", place, e.what());
  }
}

json object(std::string_view bytes, const std::string& place) {
  json value = parse(bytes, place);
  require_data(value.is_object(), "{}: is {}; expected an object", place, value.type_name());
  return value;
}

}  // namespace

std::string TokenizerSettings::text(const std::string& key, std::string_view otherwise) const {
  const auto found = values_->find(key);
  if (found == values_->end() || found->is_null()) return std::string(otherwise);
  if (found->is_string()) return *found;
  require_data(found->is_object() && found->contains("content") && (*found)["content"].is_string(), "{}: '{}' is {}; expected a string", place_, key,
               found->type_name());
  return (*found)["content"];
}

bool TokenizerSettings::flag(const std::string& key, bool otherwise) const {
  const auto found = values_->find(key);
  if (found == values_->end() || found->is_null()) return otherwise;
  require_data(found->is_boolean(), "{}: '{}' is {}; expected true or false", place_, key, found->type_name());
  return *found;
}

TokenizerFiles::TokenizerFiles(std::filesystem::path directory) : directory_(std::move(directory)) {
  for (const char* name : names)
    if (std::filesystem::is_regular_file(directory_ / name)) files_[name] = std::make_shared<MappedFile>(directory_ / name);
}

std::string_view TokenizerFiles::bytes(const std::string& name) const {
  const auto found = files_.find(name);
  require_data(found != files_.end(), "{}: is missing; the tokenizer cannot do without it", place(name));
  return found->second->text();
}

json TokenizerFiles::json(const std::string& name) const { return object(bytes(name), place(name)); }

TokenizerSettings TokenizerFiles::config() const {
  auto values = std::make_shared<nlohmann::json>(has("special_tokens_map.json") ? json("special_tokens_map.json") : nlohmann::json::object());
  if (has("tokenizer_config.json")) values->update(json("tokenizer_config.json"));
  return {place("tokenizer_config.json"), values};
}

std::vector<AddedToken> TokenizerFiles::added_tokens(int64_t first_id) const {
  std::map<int64_t, AddedToken> by_id;
  if (has("added_tokens.json")) {
    const auto all = json("added_tokens.json");
    for (const auto& [text, id] : all.items()) {
      require_data(id.is_number_integer(), "{}: the id of '{}' is {}; expected a whole number", place("added_tokens.json"), text, id.type_name());
      by_id[id.get<int64_t>()] = {.text = text};
    }
  }
  const std::string config = place("tokenizer_config.json");
  if (has("tokenizer_config.json"))
    if (const auto all = json("tokenizer_config.json"); all.contains("added_tokens_decoder")) {
      require_data(all["added_tokens_decoder"].is_object(), "{}: 'added_tokens_decoder' is {}; expected an object", config, all["added_tokens_decoder"].type_name());
      for (const auto& [id, token] : all["added_tokens_decoder"].items()) {
        const bool number = !id.empty() && id.size() < 10 && id.find_first_not_of("0123456789") == std::string::npos;
        require_data(number && token.is_object() && token.contains("content") && token["content"].is_string(),
                     "{}: added token '{}' is not an id with a \"content\"", config, id);
        const auto flag = [&](const char* key) { return token.contains(key) && token[key] == true; };
        by_id[std::stoll(id)] = {.text = token["content"], .strip_left = flag("lstrip"), .strip_right = flag("rstrip")};
      }
    }
  std::vector<AddedToken> tokens;
  for (auto at = by_id.lower_bound(first_id); at != by_id.end(); ++at) {
    require_data(at->first == first_id + int64_t(tokens.size()), "{}: the added token '{}' has the id {}; expected {}", config, at->second.text, at->first,
                 first_id + int64_t(tokens.size()));
    at->second.id = int32_t(at->first);
    tokens.push_back(at->second);
  }
  return tokens;
}

void TokenizerFiles::save(const std::filesystem::path& directory) const {
  for (const auto& [name, file] : files_) write_atomically(directory / name, file->text());
}

std::vector<std::string> pieces_of(const json& vocabulary, const std::string& place) {
  std::vector<std::string> pieces(vocabulary.size());
  std::vector<bool> taken(vocabulary.size());
  require_data(!pieces.empty(), "{}: is an empty vocabulary", place);
  for (const auto& [piece, id] : vocabulary.items()) {
    require_data(id.is_number_unsigned() && id.get<uint64_t>() < pieces.size(), "{}: the id of '{}' is {}; the {} entries need the ids 0 … {}", place, piece,
                 id.dump(), pieces.size(), pieces.size() - 1);
    require_data(!taken[id.get<size_t>()], "{}: the id {} is there twice, for '{}' and '{}'", place, id.get<size_t>(), pieces[id.get<size_t>()], piece);
    pieces[id.get<size_t>()] = piece;
    taken[id.get<size_t>()] = true;
  }
  return pieces;
}

int64_t model_words(const std::filesystem::path& directory) {
  const auto path = directory / "config.json";
  if (!std::filesystem::is_regular_file(path)) return 0;
  const json config = object(read_file(path), path.string());
  for (const json* part : {&config, config.contains("decoder") ? &config["decoder"] : &config})
    if (part->is_object() && part->contains("vocab_size") && (*part)["vocab_size"].is_number_integer()) return (*part)["vocab_size"];
  return 0;
}

}  // namespace alinea
