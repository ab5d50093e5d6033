#include "apps/run_directory.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>

#include "apps/signals.h"
#include "engine/core/error.h"
#include "engine/core/files.h"

using namespace alinea;
namespace fs = std::filesystem;

namespace {
struct Run {
  fs::path path = fs::temp_directory_path() / ("alinea_run_" + std::to_string(::getpid()));
  Run() { fs::remove_all(path); }
  ~Run() { fs::remove_all(path); }
  RunDirectory create() const { return RunDirectory::create(path, Config::text("{\"steps\": 10}", "test"), {{"version", "0.1"}}); }
};

auto model_file(int64_t step) {
  return [step](const fs::path& folder) { write_atomically(folder / "model.bin", "weights of " + std::to_string(step)); };
}

void log_step(RunDirectory& run, int64_t step) {
  const std::pair<std::string_view, double> values[] = {{"loss", 1.0 / double(step)}, {"grad", double(step)}};
  run.log(step, values);
}

std::string message_of(auto&& action, Exit kind) {
  try {
    action();
  } catch (const Error& e) {
    CHECK(int(e.kind()) == int(kind));
    return e.what();
  }
  return "no error";
}

// Logs and saves without end; `same` saves one step again and again. An error ends the process, which the test would notice.
[[noreturn]] void train_until_killed(const fs::path& path, int64_t begin, bool same) try {
  RunDirectory run = RunDirectory::open(path);
  run.keep(2, 1);
  run.start_after(begin);
  for (int64_t step = begin + 1;; ++step) {
    log_step(run, step);
    const int64_t at = same ? begin + 1 : step;
    run.save(at, model_file(at), "{}", double(step % 7));
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  ::_exit(9);
}

std::vector<int64_t> steps(const fs::path& run) {
  std::vector<int64_t> all;
  for (const auto& saved : RunDirectory::checkpoints(run)) all.push_back(saved.step);
  return all;
}
}  // namespace

TEST_CASE("run directory: checkpoints, links, what is kept, and what is read back") {
  Run where;
  RunDirectory run = where.create();
  run.start_after(0);
  CHECK(!RunDirectory::last(where.path));
  const double scores[] = {10, 30, 20, 30, 5, 6};
  for (int64_t i = 0; i < 6; ++i) {
    const auto saved = run.save(100 * (i + 1), model_file(100 * (i + 1)), "{\"epoch\": " + std::to_string(i) + "}", scores[i]);
    CHECK(read_file(saved.path / "model.bin") == "weights of " + std::to_string(saved.step));
  }
  CHECK(steps(where.path) == std::vector<int64_t>{100, 200, 300, 400, 500, 600});
  run.keep(2, 1);
  CHECK(steps(where.path) == std::vector<int64_t>{200, 500, 600});
  CHECK(RunDirectory::last(where.path)->trainer_json() == "{\"epoch\": 5}");
  CHECK(RunDirectory::best(where.path)->score == 30);
  CHECK(fs::read_symlink(where.path / "last") == "checkpoints/step_00000600");
  CHECK(read_file(where.path / "best" / "model.bin") == "weights of 200");
  run.save(600, model_file(7), "{}", 99);  // the same step again replaces it
  CHECK(read_file(where.path / "best" / "model.bin") == "weights of 7");
  run.save(700, model_file(700), "{}");
  CHECK(steps(where.path) == std::vector<int64_t>{600, 700});
  CHECK(read_file(where.path / "config.json").find("\"steps\": 10") != std::string::npos);
}

TEST_CASE("run directory: one writer, known format, nothing overwritten") {
  Run where;
  {
    RunDirectory run = where.create();
    const std::string held = message_of([&] { RunDirectory::open(where.path); }, Exit::usage);
    CHECK(held.find("process " + std::to_string(::getpid()) + " is writing this run") != std::string::npos);
    CHECK(message_of([&] { where.create(); }, Exit::usage).find("already holds a run") != std::string::npos);
    CHECK(message_of([&] { run.log(1, {}); }, Exit::usage).find("start_after") != std::string::npos);
  }
  RunDirectory::open(where.path);  // free again
  write_atomically(where.path / "env.json", "{\"format\": 2}");
  CHECK(message_of([&] { RunDirectory::open(where.path); }, Exit::data).find("format 2, this program knows format 1") != std::string::npos);
  fs::remove(where.path / "env.json");
  CHECK(message_of([&] { RunDirectory::last(where.path); }, Exit::data).find("no run directory") != std::string::npos);
  write_atomically(where.path / "thesis.txt", "precious");
  CHECK(message_of([&] { where.create(); }, Exit::usage).find("not part of a run") != std::string::npos);
}

TEST_CASE("run directory: a failed save leaves the older checkpoints") {
  Run where;
  RunDirectory run = where.create();
  run.save(1, model_file(1), "{}");
  const auto broken = [](const fs::path& folder) {
    write_atomically(folder / "model.bin", "half");
    append_file("/dev/full", "the other half");
  };
  CHECK(message_of([&] { run.save(2, broken, "{}"); }, Exit::data).find("disk is full") != std::string::npos);
  CHECK(message_of([&] { run.save(1, broken, "{}"); }, Exit::data).find("disk is full") != std::string::npos);
  CHECK(steps(where.path) == std::vector<int64_t>{1});
  CHECK(read_file(where.path / "last" / "model.bin") == "weights of 1");
  write_atomically(where.path / "last" / "model.bin", "cut");  // a broken copy is no checkpoint
  CHECK(!RunDirectory::last(where.path));
}

TEST_CASE("run directory: after a resume the log is that of an uninterrupted run") {
  Run where;
  std::string whole;
  {
    RunDirectory run = where.create();
    run.start_after(0);
    for (int64_t step = 1; step <= 12; ++step) log_step(run, step);
    whole = read_file(where.path / "log.jsonl");
    CHECK(whole.starts_with("{\"step\":1,\"loss\":1.0,\"grad\":1.0}\n"));
  }
  append_file(where.path / "log.jsonl", "{\"step\":13,\"lo");  // cut by a kill
  RunDirectory run = RunDirectory::open(where.path);
  run.start_after(5);
  for (int64_t step = 6; step <= 12; ++step) log_step(run, step);
  CHECK(read_file(where.path / "log.jsonl") == whole);
}

TEST_CASE("run directory: killed at any moment it can be resumed") {
  Run where;
  where.create();
  int64_t newest = 0;
  for (int round = 0; round < 25; ++round) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) train_until_killed(where.path, newest, round % 2);
    // A slow machine still gets one checkpoint done, within a minute.
    for (int wait = 0; wait < 60000 && round == 0 && !RunDirectory::last(where.path); ++wait) ::usleep(1000);
    ::usleep(useconds_t(5000 + round * 1700));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));  // it did not end with an error of its own
    RunDirectory run = RunDirectory::open(where.path);
    const auto last = RunDirectory::last(where.path);
    CHECK((last ? last->step : 0) >= newest);
    if (!last) continue;
    newest = last->step;
    CHECK(read_file(last->path / "model.bin") == "weights of " + std::to_string(newest));
    CHECK(fs::exists(where.path / "last" / "DONE"));
    CHECK(fs::exists(where.path / "best" / "DONE"));
    run.start_after(newest);
    CHECK(read_file(where.path / "log.jsonl").find("\"step\":" + std::to_string(newest) + ",") != std::string::npos);
  }
  CHECK(newest > 0);
}

TEST_CASE("signals: the first one sets a flag and gives the exit code") {
  StopSignals stop;
  CHECK(!stop.received());
  CHECK(stop.exit_code() == 0);
  std::raise(SIGTERM);
  CHECK(stop.received());
  CHECK(stop.exit_code() == 143);
  std::raise(SIGINT);
  CHECK(stop.exit_code() == 130);
  CHECK(std::string(stop.name()) == "SIGINT");
}
