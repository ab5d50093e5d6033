// Training runs end to end on a tiny corpus of tones: reproducible, resumable byte for byte, clear about what it refuses.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <filesystem>

#include "apps/evaluate.h"
#include "apps/live.h"
#include "apps/trainer.h"
#include "data/audio.h"
#include "engine/core/files.h"
#include "models/hub/model_directory.h"
#include "tests/apps/poisoned.h"
#include "tests/apps/program.h"
#include "tests/apps/tiny.h"

using namespace alinea;
using namespace alinea::tiny_speech;
namespace fs = std::filesystem;

namespace {

std::string bytes(const fs::path& run, const std::string& file) { return read_file(run / "last" / file); }

}  // namespace

TEST_CASE("training: two runs with one seed are byte-equal, another seed differs") {
  Folder f;
  make_corpus(f.path / "data");
  for (const char* name : {"a", "b"}) CHECK(run_training(Context::cpu(), tiny(f.path / "data", 4), f.path / name, {}, true) == 0);
  Config other = tiny(f.path / "data", 4);
  other.set("seed", "9");
  run_training(Context::cpu(), other, f.path / "c", {}, true);
  CHECK(bytes(f.path / "a", "model.safetensors") == bytes(f.path / "b", "model.safetensors"));
  CHECK(bytes(f.path / "a", "model.safetensors") != bytes(f.path / "c", "model.safetensors"));
  CHECK(read_file(f.path / "a" / "log.jsonl") == read_file(f.path / "b" / "log.jsonl"));
}

TEST_CASE("training: stopped and resumed equals uninterrupted, byte for byte") {
  Folder f;
  make_corpus(f.path / "data");
  Config whole = tiny(f.path / "data", 6);
  whole.set("schedule.kind", "constant");
  run_training(Context::cpu(), whole, f.path / "whole", {}, true);
  // Three steps, then the same run is told to go on to six.
  Config half = tiny(f.path / "data", 3);
  half.set("schedule.kind", "constant");
  run_training(Context::cpu(), half, f.path / "parts", {}, true);
  std::string config = read_file(f.path / "parts" / "config.json");
  config.replace(config.find("\"steps\": 3"), 10, "\"steps\": 6");
  write_atomically(f.path / "parts" / "config.json", config);
  CHECK(run_training(Context::cpu(), {}, f.path / "parts", {}, true) == 0);
  for (const char* file : {"model.safetensors", "optimizer.safetensors"}) CHECK(bytes(f.path / "whole", file) == bytes(f.path / "parts", file));
  CHECK(read_file(f.path / "whole" / "log.jsonl") == read_file(f.path / "parts" / "log.jsonl"));
}

TEST_CASE("training: a run goes on with the precision of products it began with") {
  Folder f;
  make_corpus(f.path / "data");
  run_training(Context::cpu(), tiny(f.path / "data", 1), f.path / "run", {}, true);
  const fs::path file = f.path / "run" / "env.json";
  std::string environment = read_file(file);
  REQUIRE(environment.find("\"products\": \"fp32\"") != std::string::npos);
  environment.replace(environment.find("\"fp32\""), 6, "\"bf16\"");
  write_atomically(file, environment);
  CHECK_THROWS_WITH_AS(run_training(Context::cpu(), {}, f.path / "run", {}, true), doctest::Contains("add --dtype bf16"), Error);
}

TEST_CASE("training: killed at any moment, the run resumes to the same end") {
  Folder f;
  make_corpus(f.path / "data");
  Config config = tiny(f.path / "data", 30);
  config.set("save_every", "2");
  const std::string program = fs::read_symlink("/proc/self/exe").parent_path() / "../../apps/alinea", file = f.path / "c.json", out = f.path / "killed";
  write_atomically(file, config.dump());
  for (int round = 0; round < 4; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      execl(program.c_str(), "alinea", "train", "-q", "--threads", "1", "--config", file.c_str(), "--out", out.c_str(), nullptr);
      _exit(127);
    }
    usleep(useconds_t(150000 + 130000 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  CHECK(run_training(Context::cpu(), config, f.path / "killed", {}, true) == 0);
  const auto last = RunDirectory::last(f.path / "killed");
  REQUIRE(last.has_value());
  CHECK(last->step == 30);
}

TEST_CASE("training: a run that stopped early stays finished when the command is given again") {
  Folder f;
  make_corpus(f.path / "data");
  Config config = tiny(f.path / "data", 40);
  config.set("validation.every", "1"), config.set("early_stop", "3"), config.set("optimizer.lr", "1e-30");   // nothing gets better
  CHECK(run_training(Context::cpu(), config, f.path / "early", {}, true) == 0);
  CHECK(RunDirectory::last(f.path / "early")->step == 4);
  CHECK(run_training(Context::cpu(), config, f.path / "early", {}, true) == 0);
  CHECK(RunDirectory::last(f.path / "early")->step == 4);
}

namespace {

// Starts `alinea arguments…` with a standard input that never ends and stays silent, sends a signal when `ready` says so, returns the exit code.
int signalled(const std::vector<std::string>& arguments, int signal, const std::function<bool()>& ready) {
  int silence[2];
  REQUIRE(pipe(silence) == 0);
  const std::string program = fs::read_symlink("/proc/self/exe").parent_path() / "../../apps/alinea";
  const pid_t child = fork();
  if (child == 0) {
    dup2(silence[0], 0);
    close(silence[1]);
    std::vector<char*> argv{const_cast<char*>("alinea")};
    for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    execv(program.c_str(), argv.data());
    _exit(127);
  }
  for (int tenths = 0; tenths < 600 && !ready() && waitpid(child, nullptr, WNOHANG) == 0; ++tenths) usleep(100000);
  usleep(500000);                                           // from "started" to "listens for signals"
  kill(child, signal);
  int status = 0;
  waitpid(child, &status, 0);
  close(silence[0]), close(silence[1]);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("training: SIGTERM saves and ends with 143; SIGINT ends streaming from a silent source with 130") {
  Folder f;
  make_corpus(f.path / "data");
  Config config = tiny(f.path / "data", 1000000);
  config.set("log_every", "1000");
  const fs::path file = f.path / "c.json", out = f.path / "stopped";
  write_atomically(file, config.dump());
  CHECK(signalled({"train", "-q", "--threads", "1", "--config", file, "--out", out}, SIGTERM, [&] { return fs::exists(out / "log.jsonl"); }) == 143);
  REQUIRE(RunDirectory::last(out).has_value());
  CHECK(RunDirectory::last(out)->step > 0);
  CHECK(signalled({"translate", out, "--policy", "waitk:2", "--stream", "-"}, SIGINT, [] { return true; }) == 130);
}

TEST_CASE("training: EMMA and wait-k start from the offline run, and the streamed output equals the evaluated one") {
  Folder f;
  make_corpus(f.path / "data");
  run_training(Context::cpu(), tiny(f.path / "data", 5), f.path / "offline", {}, true);
  CHECK_THROWS_AS(run_training(Context::cpu(), tiny(f.path / "data", 5, "emma"), f.path / "no", {}, true), Error);
  CHECK(run_training(Context::cpu(), tiny(f.path / "data", 2, "waitk"), f.path / "waitk", f.path / "offline", true) == 0);
  Config emma = tiny(f.path / "data", 1, "emma");
  CHECK(run_training(Context::cpu(), emma, f.path / "emma", f.path / "offline", true) == 0);
  const auto path = model_path(f.path / "emma", false);
  const auto model = load_model(path, Context::cpu());
  CHECK(model->config().has_policy);
  const SpeechDataset test = SpeechDataset::open(f.path / "data", "test");
  EvaluationOptions options;
  options.stream.threshold = 0.08;
  options.stream.max_tokens = 6;
  const auto instances = decode(*model, Context::cpu(), test, test.target_vocabulary(), options);
  for (int64_t i = 0; i < test.size(); ++i) {
    const Audio audio = read_audio(test.audio_path(i));
    LiveTranslator live(*model, Context::cpu(), options.stream);
    std::vector<std::string> words;
    std::vector<double> delays;
    auto take = [&](const std::vector<LiveTranslator::Event>& events) {
      for (const auto& e : events)
        if (e.decision.write) words.push_back(test.target_vocabulary().word(e.decision.token)), delays.push_back(e.heard_ms);
    };
    for (size_t at = 0; at < audio.samples.size(); at += 777) take(live.accept(std::span(audio.samples).subspan(at, std::min<size_t>(777, audio.samples.size() - at))));
    take(live.finish());
    CHECK(words == instances[size_t(i)].words);
    REQUIRE(delays.size() == instances[size_t(i)].delays.size());
    for (size_t d = 0; d < delays.size(); ++d) CHECK(delays[d] == doctest::Approx(instances[size_t(i)].delays[d]));
  }
}

TEST_CASE("training: a misspelt key names the nearest one, too little data and divergence have their exit codes") {
  Folder f;
  make_corpus(f.path / "data");
  Config typo = tiny(f.path / "data", 2);
  typo.set("model.d_modle", "32");
  try {
    run_training(Context::cpu(), typo, f.path / "typo", {}, true);
    FAIL("a misspelt key was accepted");
  } catch (const Error& e) {
    CHECK(e.kind() == Exit::usage);
    CHECK(std::string(e.what()).find("d_model") != std::string::npos);
  }
  Config large = tiny(f.path / "data", 2);
  large.set("batch", "64");
  try {
    run_training(Context::cpu(), large, f.path / "large", {}, true);
    FAIL("a batch larger than the data was accepted");
  } catch (const Error& e) {
    CHECK(e.kind() == Exit::data);
  }
  Config wild = tiny(f.path / "data", 60);
  wild.set("optimizer.lr", "1e30"), wild.set("optimizer.clip", "0"), wild.set("schedule.warmup", "0");
  try {
    run_training(Context::cpu(), wild, f.path / "wild", {}, true);
    FAIL("an exploding run was not stopped");
  } catch (const Error& e) {
    CHECK(e.kind() == Exit::diverged);
  }
}

TEST_CASE("training: a step with NaN is skipped where the configuration says so, and changes nothing") { check_skipped_steps(Context::cpu()); }
