// Two processes by mpirun learn what one learns from twice as many batches. Skipped, by name, where there is no mpirun or no MPI in the build.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/recipes/text.h"
#include "models/hub/safetensors.h"
#include "nn/processes.h"
#include "tests/apps/program.h"

using namespace alinea;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

const bool have_mpirun = std::system("mpirun --version >/dev/null 2>&1") == 0;

void make_corpus(const Folder& f) {
  const char* words[][2] = {{"dog", "Hund"}, {"cat", "Katze"}, {"house", "Haus"}, {"tree", "Baum"}, {"red", "rot"}, {"blue", "blau"}};
  std::string en, de;
  for (int i = 0; i < 80; ++i) {
    for (const int w : {i % 6, i / 6 % 6, i / 3 % 6}) en += std::string(words[w][0]) + " ", de += std::string(words[w][1]) + " ";
    en += "\n", de += "\n";
  }
  write_atomically(f / "en", en), write_atomically(f / "de", de);
  TextOptions o;
  o.source = f / "en", o.target = f / "de", o.joint = true, o.out = f / "data";
  o.subwords.vocabulary = 48;
  prepare_text(o);
  write_atomically(f / "config.json", R"({"batch": 8, "log_every": 1, "save_every": 100, "schedule": {"kind": "constant", "warmup": 4}, "optimizer": {"lr": 2e-3}, "validation": {"every": 0},
    "model": {"model_type": "alinea_text", "d_model": 16, "heads": 2, "ffn": 32, "encoder_layers": 1, "decoder_layers": 1, "max_positions": 128}})");
}

// alinea train with the given settings, in two processes of one thread each or in one.
Result train(const Folder& f, bool together, const std::string& out, const std::string& settings) {
  const std::string program = fs::read_symlink("/proc/self/exe").parent_path() / "../../apps/alinea", err = f / "err";
  const std::string command = std::string(together ? "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun -n 2 --oversubscribe --bind-to none " : "") + "'" + program + "' train -q --device cpu --threads 1 --config '" +
                              f / "config.json" + "' --data '" + f / "data" + "' --out '" + f / out + "' " + settings + " >/dev/null 2>'" + err + "'";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, "", read_file(err)};
}

std::vector<double> losses(const fs::path& run) {
  std::vector<double> all;
  std::ifstream in(run / "log.jsonl");
  for (std::string line; std::getline(in, line);) all.push_back(Json::parse(line)["loss"]);
  return all;
}

// Softmax does not change when all keys move alike, so the gradient of a key's bias is rounding alone, which AdamW blows up to whole steps.
double largest_difference(const fs::path& a, const fs::path& b) {
  const SafetensorsFile one(a / "last/model.safetensors"), two(b / "last/model.safetensors");
  double worst = 0;
  for (const auto& entry : one.entries()) {
    if (entry.name.ends_with("k_proj.bias")) continue;
    const auto x = one.load(entry.name, Context::cpu()).values<float>(), y = two.load(entry.name, Context::cpu()).values<float>();
    for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, double(std::abs(x[i] - y[i])));
  }
  return worst;
}

}  // namespace

TEST_CASE("processes: without a launcher there is one") {
  if (!have_mpirun) MESSAGE("SKIPPED, no mpirun here: processes: two learn what one learns, are stopped and go on, and end together");
  CHECK(Processes::world().size() == 1);
  CHECK(Processes::world().first());
}

TEST_CASE("processes: two learn what one learns from twice the batches, go on from a checkpoint, and end together" * doctest::skip(!have_mpirun)) {
  Folder f;
  make_corpus(f);
  const Result two = train(f, true, "two", "--set steps=10");
  if (contains(two.err, "this build has no MPI")) {
    MESSAGE("SKIPPED, the build has no MPI; it is refused by name");
    CHECK(two.code == 4);
    return;
  }
  INFO(two.err);
  REQUIRE(two.code == 0);
  REQUIRE(train(f, false, "one", "--set steps=10 --set accumulate=2").code == 0);
  const auto a = losses(f.path / "two"), b = losses(f.path / "one");
  REQUIRE(a.size() == 10);
  REQUIRE(b.size() == 10);
  for (size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) <= 1e-6 * b[i]);
  CHECK(largest_difference(f.path / "two", f.path / "one") <= 1e-6);

  REQUIRE(train(f, true, "parts", "--set steps=6").code == 0);
  std::string config = read_file(f / "parts/config.json");
  write_atomically(f / "parts/config.json", config.replace(config.find("\"steps\": 6"), 10, "\"steps\": 10"));
  REQUIRE(train(f, true, "parts", "").code == 0);
  CHECK(read_file(f / "parts/last/model.safetensors") == read_file(f / "two/last/model.safetensors"));

  const Result diverged = train(f, true, "diverged", "--set steps=30 --set optimizer.lr=1e30");
  CHECK(diverged.code == 5);
  CHECK(contains(diverged.err, "diverged") + contains(diverged.err, "the loss is") > 0);
  const Result skipping = train(f, true, "skipping", "--set steps=30 --set optimizer.lr=1e30 --set non_finite=skip");
  CHECK(skipping.code == 5);
  CHECK(contains(skipping.err, "in a row to be skipped"));
}
