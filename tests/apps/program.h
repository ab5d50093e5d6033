// The program as a user meets it, for tests: a folder that goes away, and alinea run through the shell.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "engine/core/files.h"

namespace alinea {

struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "alinea-test-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
};

struct Result {
  int code = -1;
  std::string out, err;
};

/// stdin given, stdout and stderr apart.
inline Result alinea_program(const Folder& folder, const std::string& arguments, const std::string& input = "") {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../../apps/alinea";
  const std::string in = folder / "stdin", out = folder / "stdout", err = folder / "stderr";
  write_atomically(in, input);
  const int status = std::system(("'" + program + "' " + arguments + " <'" + in + "' >'" + out + "' 2>'" + err + "'").c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(err)};
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace alinea
