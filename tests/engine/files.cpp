#include "engine/core/files.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <utility>

#include "engine/core/error.h"

using namespace alinea;
namespace fs = std::filesystem;

namespace {
struct Folder {
  fs::path path = fs::temp_directory_path() / ("alinea_files_" + std::to_string(::getpid()));
  Folder() { make_folder(path); }
  ~Folder() { fs::remove_all(path); }
  size_t files() const { return size_t(std::distance(fs::directory_iterator(path), fs::directory_iterator())); }
};
std::string data_error(auto&& action) {
  try {
    action();
  } catch (const Error& e) {
    CHECK(e.kind() == Exit::data);
    return e.what();
  }
  return "no error";
}
}  // namespace

TEST_CASE("files: written whole, read back, mapped, linked") {
  Folder folder;
  const fs::path path = folder.path / "a.bin";
  const std::string bytes("one\0two\n", 8);
  write_atomically(path, "old");
  write_atomically(path, bytes);
  CHECK(read_file(path) == bytes);
  append_file(path, "more");
  MappedFile mapped(path), moved(std::move(mapped));
  CHECK(moved.text() == bytes + "more");
  CHECK(mapped.size() == 0);
  moved.data()[0] = std::byte{'O'};
  CHECK(moved.text().front() == 'O');
  CHECK(read_file(path).front() == 'o');  // copied on write
  write_atomically(folder.path / "empty", "");
  CHECK(MappedFile(folder.path / "empty").size() == 0);
  point_link(folder.path / "last", "a.bin");
  point_link(folder.path / "last", "empty");
  CHECK(fs::read_symlink(folder.path / "last") == "empty");
  CHECK(folder.files() == 3);  // no temporary file is left
  CHECK(free_space(folder.path / "not" / "yet") > 0);
}

TEST_CASE("files: errors name the path and the reason; nothing is left behind") {
  Folder folder;
  CHECK(data_error([&] { read_file(folder.path / "no"); }).find("no: opening failed: No such file") != std::string::npos);
  CHECK(data_error([&] { MappedFile(folder.path); }).find("not a regular file") != std::string::npos);
  CHECK(data_error([&] { write_atomically(folder.path / "no" / "x", "1"); }).find("check the path") != std::string::npos);
  CHECK(data_error([&] { append_file("/dev/full", "1"); }).find("the disk is full") != std::string::npos);
  CHECK(data_error([&] { make_folder("/dev/null/x"); }).find("/dev/null/x") != std::string::npos);

  // A write that breaks off in the middle (here: a limit on file sizes) keeps the old file and removes the temporary one.
  write_atomically(folder.path / "x", "old");
  auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit, small;
  getrlimit(RLIMIT_FSIZE, &limit);
  small = limit;
  small.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = data_error([&] { write_atomically(folder.path / "x", std::string(5000, 'n')); });
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, before);
  CHECK(message.find("writing failed: File too large") != std::string::npos);
  CHECK(read_file(folder.path / "x") == "old");
  CHECK(folder.files() == 1);
}
