// Every file of the corpora, and small changes of each, through the functions that the fuzzers call.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "engine/core/files.h"
#include "engine/core/random.h"
#include "tests/fuzz/readers.h"

using namespace alinea;

namespace {

// A byte replaced, a piece cut out or doubled, the end cut off: a pure function of the draw.
std::string changed(std::string bytes, Draw& draw) {
  if (bytes.empty()) return bytes;
  const auto at = size_t(draw.integer(0, int64_t(bytes.size()) - 1)), n = size_t(draw.integer(1, 8));
  switch (draw.integer(0, 4)) {
    case 0: return bytes.erase(at, n);
    case 1: return bytes.insert(at, bytes.substr(at, n));
    case 2: return bytes.substr(0, at);
    case 3: bytes[at] = char(bytes[at] ^ 1 << draw.integer(0, 7)); return bytes;
    default: bytes[at] = char(draw.integer(0, 255)); return bytes;
  }
}

void run(const std::string& reader, void (*read)(std::string_view)) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator("tests/fuzz/corpus/" + reader)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  CHECK(files.size() >= 4);
  for (const auto& file : files) {
    CAPTURE(file.string());
    const std::string bytes = read_file(file);
    CHECK_NOTHROW(read(bytes));
    Draw draw(RandomKey{1}.child(file.filename().string()));
    for (int i = 0; i < 200; ++i) CHECK_NOTHROW(read(changed(bytes, draw)));
  }
}

}  // namespace

TEST_CASE("any bytes as a configuration") { run("config", fuzz_config); }
TEST_CASE("any bytes as a pickle") { run("pickle", fuzz_pickle); }
TEST_CASE("any bytes as safetensors") { run("safetensors", fuzz_safetensors); }
TEST_CASE("any bytes as a torch archive") { run("torch_zip", fuzz_torch_zip); }
TEST_CASE("any bytes as a sentencepiece model") { run("sentencepiece", fuzz_sentencepiece); }
