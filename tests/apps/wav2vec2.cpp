// wav2vec 2.0 from untranscribed tones to letters: pre-training and CTC fine-tuning end to end, resumable byte for byte.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/ctc_evaluate.h"
#include "apps/run_report.h"
#include "apps/trainer.h"
#include "engine/core/files.h"
#include "models/hub/safetensors.h"
#include "models/hub/wav2vec2.h"
#include "tests/apps/program.h"
#include "tests/apps/tiny.h"

using namespace alinea;
using namespace alinea::tiny_waves;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

std::vector<Json> lines(const fs::path& file) {
  std::vector<Json> all;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) all.push_back(Json::parse(line));
  return all;
}

// Trains to `steps`, then tells the run to go on to `all`.
void train_in_parts(const Config& first, int steps, int all, const fs::path& run, const fs::path& init = {}) {
  CHECK(run_training(Context::cpu(), first, run, init, true) == 0);
  std::string config = read_file(run / "config.json");
  const std::string from = "\"steps\": " + std::to_string(steps);
  config.replace(config.find(from), from.size(), "\"steps\": " + std::to_string(all));
  write_atomically(run / "config.json", config);
  CHECK(run_training(Context::cpu(), {}, run, {}, true) == 0);
}

}  // namespace

TEST_CASE("wav2vec2: pre-training lowers the contrastive loss, keeps several codes in use, and resumes byte for byte") {
  Folder f;
  make_corpus(f.path / "data");
  CHECK(run_training(Context::cpu(), tiny(f.path / "data", "pretrain", 40), f.path / "whole", {}, true) == 0);
  const auto log = lines(f.path / "whole" / "log.jsonl");
  REQUIRE(log.size() == 40);
  double early = 0, late = 0;
  for (int i = 0; i < 5; ++i)
    early += log[size_t(i)]["contrastive"].get<double>(), late += log[size_t(35 + i)]["contrastive"].get<double>();
  CHECK(late < 0.9 * early);
  CHECK(log.back()["perplexity"].get<double>() > 4);  // of 16; 2 is a single code per group
  CHECK(log[1]["temperature"].get<double>() < log[0]["temperature"].get<double>());
  train_in_parts(tiny(f.path / "data", "pretrain", 7), 7, 12, f.path / "parts");
  run_training(Context::cpu(), tiny(f.path / "data", "pretrain", 12), f.path / "twelve", {}, true);
  for (const char* file : {"last/model.safetensors", "last/optimizer.safetensors", "log.jsonl"})
    CHECK(read_file(f.path / "parts" / file) == read_file(f.path / "twelve" / file));
}

TEST_CASE("wav2vec2: letters are learnt from a pre-trained encoder, the directory reads back, and training resumes byte for byte") {
  Folder f;
  make_corpus(f.path / "data");
  run_training(Context::cpu(), tiny(f.path / "data", "pretrain", 5), f.path / "pre", {}, true);
  Config config = tiny(f.path / "data", "ctc", 150);
  config.set("validation.every", "30"), config.set("validation.train_utterances", "50"), config.set("mask_after", "120");
  CHECK(run_training(Context::cpu(), config, f.path / "ctc", f.path / "pre", true) == 0);
  const auto metrics = lines(f.path / "ctc" / "metrics.jsonl");
  CHECK(metrics.back()["train_cer"].get<double>() < 10);
  const auto charts = charts_of_run(f.path / "ctc");
  CHECK(std::any_of(charts.begin(), charts.end(),
                    [](const Chart& c) { return c.title == "ctc: errors of recognition" && c.curves.size() >= 1; }));

  const fs::path directory = model_path(f.path / "ctc");
  for (const char* file : {"config.json", "model.safetensors", "vocab.json", "tokenizer_config.json", "preprocessor_config.json"})
    CHECK(fs::exists(directory / file));
  CHECK(Json::parse(read_file(directory / "config.json"))["architectures"][0] == "Wav2Vec2ForCTC");
  const auto again = load_wav2vec2_ctc(directory, Context::cpu());
  const CtcTokenizer tokenizer{TokenizerFiles(directory)};
  const auto train = WaveDataset::open(f.path / "data", "train", {.transcribed = true});
  CHECK(train.size() == 12);
  CHECK(evaluate_ctc(*again, Context::cpu(), train, tokenizer, 0).cer == metrics.back()["train_cer"].get<double>());

  train_in_parts(tiny(f.path / "data", "ctc", 4), 4, 9, f.path / "parts", f.path / "pre");
  run_training(Context::cpu(), tiny(f.path / "data", "ctc", 9), f.path / "nine", f.path / "pre", true);
  for (const char* file : {"last/model.safetensors", "log.jsonl"})
    CHECK(read_file(f.path / "parts" / file) == read_file(f.path / "nine" / file));
}

TEST_CASE("wav2vec2: another vocabulary brings a fresh output layer, frozen parts stay, and long labels are counted") {
  Folder f;
  make_corpus(f.path / "data");
  make_corpus(f.path / "other", "XYZ");
  run_training(Context::cpu(), tiny(f.path / "data", "ctc", 3), f.path / "first", {}, true);
  Config next = tiny(f.path / "other", "ctc", 2);
  next.set("freeze", R"(["wav2vec2.feature_extractor"])");
  CHECK(run_training(Context::cpu(), next, f.path / "next", f.path / "first", true) == 0);
  const SafetensorsFile before(f.path / "first/last/model.safetensors"), after(f.path / "next/last/model.safetensors");
  const auto values = [](const SafetensorsFile& file, const std::string& name) { return file.load(name, Context::cpu()).values<float>(); };
  for (const char* kept :
       {"wav2vec2.feature_extractor.conv_layers.0.conv.weight", "wav2vec2.feature_extractor.conv_layers.2.layer_norm.bias"})
    CHECK(values(before, kept) == values(after, kept));
  CHECK(values(before, "wav2vec2.feature_projection.projection.weight") != values(after, "wav2vec2.feature_projection.projection.weight"));

  auto rows = read_manifest(f.path / "other/train.tsv");
  for (ManifestRow& row : rows) row.tgt_text = std::string(200, 'X');
  write_manifest(f.path / "other/train.tsv", rows);
  run_training(Context::cpu(), tiny(f.path / "other", "ctc", 1), f.path / "long", {}, true);
  CHECK(lines(f.path / "long/log.jsonl")[0]["too_long"].get<double>() > 0);
  CHECK(lines(f.path / "long/log.jsonl")[0]["loss"].get<double>() == 0);
}

TEST_CASE("wav2vec2: impossible training is refused by name") {
  Folder f;
  make_corpus(f.path / "data");
  const auto refused = [&](Config config, Exit kind, const std::string& part) {
    try {
      run_training(Context::cpu(), config, f.path / "no", {}, true);
      FAIL("accepted");
    } catch (const Error& e) {
      CHECK(int(e.kind()) == int(kind));
      INFO(e.what());
      CHECK(contains(e.what(), part));
    }
  };
  refused(tiny(f.path / "data", "offline", 1), Exit::usage, "pretrain or ctc");
  Config c = tiny(f.path / "data", "pretrain", 1);
  c.set("model.mask_time_prob", "0");
  refused(c, Exit::usage, "mask_time_prob");
  c = tiny(f.path / "data", "ctc", 1);
  c.set("waves.max_seconds", "9");
  refused(c, Exit::usage, "batch_seconds");
  c = tiny(f.path / "data", "ctc", 1);
  c.set("waves.min_seconds", "1.9");
  refused(c, Exit::data, "nothing is left");
  c = tiny(f.path / "data", "ctc", 1);
  c.set("model.hiden_size", "8");
  refused(c, Exit::usage, "hidden_size");
}
