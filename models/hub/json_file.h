// Small JSON files beside weights: config.json, indices of shards, vocabularies.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace alinea {

/// Parses a file; members keep their order. Error{data}: no such file, no valid JSON or UTF-8, nested more than 64 deep, a name twice.
nlohmann::ordered_json read_json(const std::filesystem::path& path);
/// The same for a text; `place` names it in messages.
nlohmann::ordered_json parse_json(std::string_view text, const std::string& place, int deepest = 64);

}  // namespace alinea
