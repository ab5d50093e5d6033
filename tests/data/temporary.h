// Help for tests that write files: a folder that goes away, and the message of an error of kind data.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "engine/core/error.h"

namespace alinea {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "alinea-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Runs f, which must throw an Error of this kind; returns its message.
template <class F>
std::string error_of(Exit kind, F f) {
  try {
    f();
  } catch (const Error& error) {
    CHECK(int(error.kind()) == int(kind));
    return error.what();
  }
  FAIL("expected an error");
  return {};
}
template <class F>
std::string data_error(F f) {
  return error_of(Exit::data, f);
}

}  // namespace alinea
