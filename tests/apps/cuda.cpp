// Whole models on the GPU: training, decoding and the recorded cases give what the CPU gives. Skipped, by name, without a GPU.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/trainer.h"
#include "engine/core/device.h"
#include "models/hub/model_directory.h"
#include "tests/apps/poisoned.h"
#include "tests/apps/program.h"
#include "tests/apps/tiny.h"
#include "tests/golden.h"

using namespace alinea;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

const bool no_gpu = cuda_device_count() == 0;

std::vector<double> losses(const fs::path& run) {
  std::vector<double> all;
  std::ifstream in(run / "log.jsonl");
  for (std::string line; std::getline(in, line);) all.push_back(Json::parse(line)["loss"]);
  return all;
}

// Trains `steps` steps on both devices, into the folders NAME-cpu and NAME-cuda, and compares the losses.
void train_on_both(const Folder& f, const std::string& name, const Config& config, size_t steps, const fs::path& init = {}) {
  CAPTURE(name);
  REQUIRE(run_training(Context::cpu(), config, f.path / (name + "-cpu"), init, true) == 0);
  REQUIRE(run_training(Context::cuda(), config, f.path / (name + "-cuda"), init, true) == 0);
  const auto cpu = losses(f.path / (name + "-cpu")), gpu = losses(f.path / (name + "-cuda"));
  REQUIRE(cpu.size() == steps);
  REQUIRE(gpu.size() == steps);
  double worst = 0;
  for (size_t i = 0; i < steps; ++i) worst = std::max(worst, std::abs(gpu[i] - cpu[i]) / std::max(1.0, std::abs(cpu[i])));
  MESSAGE(name, ": ", steps, " losses, largest difference ", worst);
  CHECK(worst <= 1e-4);
}

// Trains to `steps`, then tells the run to go on to as many as `whole` has.
void check_resumed(const Folder& f, Config config, int steps, int all, const fs::path& whole) {
  const fs::path run = f.path / "resumed";
  fs::remove_all(run);
  config.set("steps", std::to_string(steps));
  CHECK(run_training(Context::cuda(), config, run, {}, true) == 0);
  std::string text = read_file(run / "config.json");
  const std::string from = "\"steps\": " + std::to_string(steps);
  write_atomically(run / "config.json", text.replace(text.find(from), from.size(), "\"steps\": " + std::to_string(all)));
  CHECK(run_training(Context::cuda(), {}, run, {}, true) == 0);
  for (const char* file : {"last/model.safetensors", "last/optimizer.safetensors", "log.jsonl"}) CHECK(read_file(run / file) == read_file(whole / file));
}

// What `alinea ARGUMENTS` prints on the CPU it prints on the GPU.
void same_output(const Folder& f, const std::string& arguments, const std::string& input = "") {
  CAPTURE(arguments);
  const Result cpu = alinea_program(f, arguments + " --device cpu", input), gpu = alinea_program(f, arguments + " --device cuda", input);
  CAPTURE(gpu.err);
  CHECK(cpu.code == 0);
  CHECK(gpu.code == 0);
  CHECK(gpu.out == cpu.out);
  CHECK(!gpu.out.empty());
}

}  // namespace

TEST_CASE("cuda: whole models are compared with the CPU") {
  if (no_gpu) MESSAGE("SKIPPED, no GPU can be used here: cuda: speech; cuda: text; cuda: wav2vec2; cuda: recorded cases; cuda: weights stored as bf16; cuda: gradients; cuda: a step with NaN");
}

TEST_CASE("cuda: speech is trained, fine-tuned to EMMA, resumed, translated and streamed as on the CPU" * doctest::skip(no_gpu)) {
  Folder f;
  const fs::path data = f.path / "data";
  tiny_speech::make_corpus(data);
  Config offline = tiny_speech::tiny(data, 20);
  offline.set("schedule.kind", "constant");
  train_on_both(f, "offline", offline, 20);
  check_resumed(f, offline, 7, 20, f.path / "offline-cuda");
  Config emma_config = tiny_speech::tiny(data, 20, "emma");
  emma_config.set("validation.threshold", "0.02");         // a policy that has learnt nothing would read to the end, which counts as collapsed
  train_on_both(f, "emma", emma_config, 20, f.path / "offline-cuda");
  train_on_both(f, "waitk", tiny_speech::tiny(data, 20, "waitk"), 20, f.path / "offline-cuda");
  const std::string emma = f / "emma-cuda", wave = " '" + (data / "test0.wav").string() + "'";
  same_output(f, "translate " + emma + " --max-tokens 6" + wave);
  same_output(f, "translate " + emma + " --stream --threshold 0.08 --max-tokens 6" + wave);
  same_output(f, "translate " + (f / "waitk-cuda") + " --policy waitk:2 --stream --max-tokens 6" + wave);
  same_output(f, "eval " + emma + " --policy offline,emma --threshold 0.08 --max-tokens 6 --json");
}

TEST_CASE("cuda: text is trained, resumed and translated with beams as on the CPU" * doctest::skip(no_gpu)) {
  Folder f;
  tiny_text::make_corpus(f.path);
  Config config = tiny_text::tiny(f.path / "data", 20);
  config.set("model.model_type", "mbart"), config.set("model.positions", "learned"), config.set("model.embedding_norm", "true"), config.set("model.logits_bias", "true");
  train_on_both(f, "text", config, 20);
  check_resumed(f, config, 7, 20, f.path / "text-cuda");
  const std::string run = f / "text-cuda", lines = "the blue cat sees a tree\nthe red dog sees a house\n";
  same_output(f, "translate " + run + " -", lines);
  same_output(f, "translate --beam 3 --generate no_repeat_ngram_size=2,repetition_penalty=1.1,min_length=4 " + run + " -", lines);
}

TEST_CASE("cuda: wav2vec2 is pre-trained and learns letters as on the CPU" * doctest::skip(no_gpu)) {
  Folder f;
  tiny_waves::make_corpus(f.path / "data");
  const Config pretraining = tiny_waves::tiny(f.path / "data", "pretrain", 20);
  train_on_both(f, "pretraining", pretraining, 20);
  check_resumed(f, pretraining, 7, 20, f.path / "pretraining-cuda");
  train_on_both(f, "ctc", tiny_waves::tiny(f.path / "data", "ctc", 20), 20, f.path / "pretraining-cuda");
}

TEST_CASE("cuda: recorded cases of whole models agree" * doctest::skip(no_gpu)) {
  const Folder f;
  int cases = 0;
  for (const auto& entry : fs::directory_iterator(golden("hf"))) {
    if (!fs::exists(entry.path() / "config.json") || !fs::exists(entry.path() / "expected.safetensors")) continue;
    const Result r = alinea_program(f, "forward " + entry.path().string() + " --device cuda --case " + entry.path().string());
    INFO(entry.path().string() << "\n" << r.out << r.err);
    CHECK(r.code == 0);
    ++cases;
  }
  CHECK(cases >= 8);
}

TEST_CASE("cuda: with its weights stored as bf16 a model translates as on the CPU" * doctest::skip(no_gpu)) {
  std::vector<Generation> all;
  for (Context* context : {&Context::cpu(), &Context::cuda()}) {
    const auto model = load_text_model(golden("hf/mbart"), *context, DType::bf16);
    std::vector<int64_t> ids;                                // more rows than few
    for (int64_t i = 0; i < 3 * 7; ++i) ids.push_back(i % 7 == 6 ? 2 : 5 + i * 3 % 11);
    for (const int64_t beams : {1, 5})
      all.push_back(model->translate(Context::cpu().from(ids.data(), {3, 7}), {7, 7, 7}, {.num_beams = beams, .max_new_tokens = 8}));
  }
  for (size_t i = 0; i < 2; ++i) {
    CHECK(all[i].sequences == all[i + 2].sequences);
    for (size_t s = 0; s < all[i].scores.size(); ++s) CHECK(all[i].scores[s] == doctest::Approx(all[i + 2].scores[s]).epsilon(1e-5));
  }
}

TEST_CASE("cuda: gradients against central differences" * doctest::skip(no_gpu)) {
  const Folder f;
  const Result r = alinea_program(f, "gradcheck linear softmax layer_norm codebook contrastive_loss --device cuda");
  INFO(r.out << r.err);
  CHECK(r.code == 0);
}

TEST_CASE("cuda: a step with NaN is skipped where the configuration says so, and changes nothing" * doctest::skip(no_gpu)) { check_skipped_steps(Context::cuda()); }
