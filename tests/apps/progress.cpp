#include "apps/progress.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "apps/tensorboard.h"
#include "engine/core/files.h"

using namespace alinea;

namespace {
struct Screen {
  std::string text;
  double now = 0;
  Terminal terminal(bool interactive, bool colour, int width = 100) {
    return {interactive, colour, width, [this](std::string_view t) { text += t; }, [this] { return now; }};
  }
};
}  // namespace

TEST_CASE("progress: plain lines every ten seconds and at the end") {
  Screen screen;
  {
    Progress progress(screen.terminal(false, false), "train", 0, 40);
    for (int64_t step = 1; step <= 40; ++step) {
      screen.now += 1;
      progress.update(step, 2.5, 0.75, 1000);
    }
    CHECK(progress.tokens_per_second() == doctest::Approx(1000));
    progress.message("saved");
  }
  CHECK(screen.text ==
        "train  25%  10/40  loss 2.5000  grad 0.750  1.0k tok/s  ETA 0:30\n"
        "train  50%  20/40  loss 2.5000  grad 0.750  1.0k tok/s  ETA 0:20\n"
        "train  75%  30/40  loss 2.5000  grad 0.750  1.0k tok/s  ETA 0:10\n"
        "train 100%  40/40  loss 2.5000  grad 0.750  1.0k tok/s  ETA 0:00\n"
        "saved\n");
}

TEST_CASE("progress: a bar on a terminal, resumed runs count only their own steps, quiet shows what matters") {
  Screen screen;
  {
    Progress progress(screen.terminal(true, false, 90), "train", 50, 100);
    screen.now = 25;
    progress.update(75, 1, 2, 100);
    CHECK(screen.text.starts_with("\r\x1b[Ktrain  75% ━"));
    CHECK(screen.text.find("ETA 0:25") != std::string::npos);
    CHECK(screen.text.find('\n') == std::string::npos);
    CHECK(screen.text.find("\x1b[32m") == std::string::npos);  // no colour
    progress.message("saved");
    CHECK(screen.text.find("\r\x1b[Ksaved\n\r\x1b[Ktrain") != std::string::npos);
  }
  CHECK(screen.text.ends_with("\n"));
  Screen coloured, narrow, silent;
  Progress(coloured.terminal(true, true), "t", 0, 1).update(1, 1, 1, 1);
  CHECK(coloured.text.find("\x1b[32m") != std::string::npos);
  Progress(narrow.terminal(true, true, 20), "t", 0, 1).update(1, 1, 1, 1);
  CHECK(narrow.text == "\r\x1b[Kt 100%  1/1  loss 1\n");
  Progress quiet(silent.terminal(false, false), "t", 0, 1, true);
  quiet.update(1, 1, 1, 1);
  quiet.message("chatter");
  CHECK(silent.text.empty());
  quiet.message("diverged", true);
  CHECK(silent.text == "diverged\n");
}

TEST_CASE("progress: durations and counts") {
  CHECK(show_duration(0.2) == "0:01");
  CHECK(show_duration(3723) == "1:02:03");
  CHECK(show_duration(1.0 / 0.0) == "?");
  CHECK(show_count(999) == "999");
  CHECK(show_count(12345) == "12.3k");
  CHECK(show_count(4560000) == "4.56M");
}

TEST_CASE("tensorboard: the checksum of RFC 3720 and the records' layout") {
  CHECK(crc32c("123456789") == 0xE3069283u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAu);
  const auto folder = std::filesystem::temp_directory_path() / ("alinea_board_" + std::to_string(::getpid()));
  TensorBoard board(folder);
  const std::string header = read_file(board.path());
  // length 24: wall time (9 bytes) and file_version "brain.Event:2" (15), then the masked checksum of the length as TensorFlow writes it
  CHECK(header.substr(0, 12) == std::string("\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22", 12));
  CHECK(header.size() == 8 + 4 + 24 + 4);
  const std::pair<std::string_view, double> values[] = {{"loss", 1.5}};
  board.scalars(300, values);
  const std::string event = read_file(board.path()).substr(header.size() + 12);
  // step 300 as a varint; summary { value { tag "loss", simple_value 1.5f } }
  CHECK(event.substr(9, 3) == "\x10\xac\x02");
  CHECK(event.substr(12, 15) == std::string("\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\xc0\x3f", 15));
  CHECK(TensorBoard(folder).path() != board.path());
  std::filesystem::remove_all(folder);
}
