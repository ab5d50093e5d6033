#include "models/hub/hub_cache.h"

#include <algorithm>
#include <cstdlib>

#include "engine/core/error.h"
#include "engine/core/files.h"

namespace alinea {

namespace fs = std::filesystem;

namespace {

fs::path cache_folder() {
  const auto variable = [](const char* name) -> fs::path {
    const char* value = std::getenv(name);
    return value ? value : "";
  };
  if (const fs::path cache = variable("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const fs::path home = variable("HF_HOME"); !home.empty()) return home / "hub";
  if (const fs::path cache = variable("XDG_CACHE_HOME"); !cache.empty()) return cache / "huggingface/hub";
  return variable("HOME") / ".cache/huggingface/hub";
}

// organisation/name: two plain words.
bool is_repository_name(const std::string& name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '/' || c == '-' || c == '_' || c == '.'; });
  return plain && std::count(name.begin(), name.end(), '/') == 1 && name.front() != '/' && name.front() != '.' && name.back() != '/';
}

}  // namespace

fs::path resolve_model(const std::string& name) {
  if (fs::exists(name)) return name;
  require_data(is_repository_name(name), "{}: there is no such file or folder", name);
  std::string folder = "models--" + name;
  folder.replace(folder.find('/'), 1, "--");
  const fs::path repository = cache_folder() / folder;
  require_data(fs::exists(repository / "refs/main"), "{}: there is no such folder, and no downloaded model {}; download it with another program, or name its folder", name,
               repository.string());
  std::string revision = read_file(repository / "refs/main");
  revision.erase(std::remove_if(revision.begin(), revision.end(), [](unsigned char c) { return !std::isalnum(c); }), revision.end());
  const fs::path snapshot = repository / "snapshots" / revision;
  require_data(fs::is_directory(snapshot), "{}: the snapshot {} is missing; the download is incomplete", name, snapshot.string());
  return snapshot;
}

}  // namespace alinea
