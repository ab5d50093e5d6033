// Includes run one way: engine <- autograd <- nn <- models <- apps; data stands beside them on engine/core alone.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Include {
  std::string file, included;
};

// What a file of each room may include, as beginnings of paths.
const std::map<std::string, std::vector<std::string>> allowed = {
    {"engine", {"engine/"}},
    {"autograd", {"engine/", "autograd/"}},
    {"nn", {"engine/", "autograd/", "nn/"}},
    {"models", {"engine/", "autograd/", "nn/", "models/"}},
    {"data", {"engine/core/", "data/"}},
    {"apps", {"engine/", "autograd/", "nn/", "models/", "data/", "apps/"}},
};

bool may_include(const std::string& room, const std::string& included) {
  for (const std::string& beginning : allowed.at(room))
    if (included.rfind(beginning, 0) == 0) return true;
  return false;
}

std::vector<Include> includes_of(const std::string& room) {
  static const std::regex pattern("^\\s*#\\s*include\\s*\"([^\"]+)\"");
  std::vector<Include> found;
  for (const auto& entry : fs::recursive_directory_iterator(room)) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".h" && extension != ".cpp" && extension != ".cu") continue;
    std::ifstream file(entry.path());
    std::smatch match;
    for (std::string line; std::getline(file, line);)
      if (std::regex_search(line, match, pattern)) found.push_back({entry.path().string(), match[1]});
  }
  return found;
}

}  // namespace

TEST_CASE("layers: no room includes a room above it") {
  for (const auto& [room, beginnings] : allowed) {
    const std::vector<Include> includes = includes_of(room);
    CHECK_MESSAGE(!includes.empty(), room, " has no includes: is the test run from the root of the source tree?");
    for (const Include& i : includes) CHECK_MESSAGE(may_include(room, i.included), i.file, " includes ", i.included);
  }
}

TEST_CASE("layers: the rule refuses what it should") {
  CHECK_FALSE(may_include("engine", "autograd/tape.h"));
  CHECK_FALSE(may_include("nn", "models/s2t_transformer.h"));
  CHECK_FALSE(may_include("models", "data/audio.h"));
  CHECK_FALSE(may_include("data", "engine/ops/matmul.h"));
  CHECK_FALSE(may_include("engine", "tensor.h"));           // paths begin at the root
  CHECK(may_include("data", "engine/core/error.h"));
}
