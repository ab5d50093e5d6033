// inspect, convert and average as a user meets them.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "apps/run_directory.h"
#include "models/hub/checkpoint.h"
#include "tests/apps/program.h"
#include "tests/golden.h"
#include "tests/models/hub_files.h"

using namespace alinea;
namespace fs = std::filesystem;
using json = nlohmann::json;

namespace {

Tensor floats(const std::vector<float>& v, const Shape& shape) { return Context::cpu().from(v.data(), shape); }
std::vector<double> values(const fs::path& model, const std::string& name) { return Checkpoint::open(model).load(name, Context::cpu()).values<double>(); }
std::string quoted(const std::string& path) { return " '" + path + "'"; }

// A run with checkpoints at steps 1 … scores.size(): weight w is the step, squared; the folder holds a configuration and a vocabulary.
void make_run(const fs::path& path, const std::vector<double>& scores) {
  RunDirectory run = RunDirectory::create(path, Config(), {});
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto write = [&](const fs::path& folder) {
      const float step = float(i + 1);
      write_safetensors(folder / "model.safetensors", {{"w", floats({step * step, 1}, {2})}});
      write_safetensors(folder / "optimizer.safetensors", {{"moment1", floats({step}, {1})}});
      write_atomically(folder / "config.json", "{\"model_type\": \"x\", \"step\": " + std::to_string(i + 1) + "}\n");
      write_atomically(folder / "vocab.txt", "a\n");
    };
    run.save(int64_t(i + 1), write, "{}", scores[i]);
  }
}

}  // namespace

TEST_CASE("inspect: a whole model folder, its shards, a torch archive with tied tensors") {
  const Folder folder;
  const Result model = alinea_program(folder, "inspect --json " + golden("hf/mbart_sharded"));
  CHECK(model.code == 0);
  const json j = json::parse(model.out);
  CHECK(j["config"]["model_type"] == "mbart");
  CHECK(j["weights"]["parameters"] == 29956);
  CHECK(j["weights"]["dtypes"]["F32"] == 29956);
  CHECK(j["weights"]["tensors"] == 80);
  CHECK(j["weights"]["files"] == 6);
  const Result text = alinea_program(folder, "inspect " + golden("hf/w2v2_oldbin"));
  CHECK(text.code == 0);
  CHECK(contains(text.out, "model_type: wav2vec2"));
  CHECK(contains(text.out, "weights: 36484 parameters (36484 F32)"));
  CHECK(contains(text.out, "wav2vec2.encoder.pos_conv_embed.conv.weight_g"));
  CHECK(alinea_program(folder, "inspect --json " + golden("hf/mbart_sharded/model.safetensors.index.json")).code == 0);
  const Result tied = alinea_program(folder, "inspect " + golden("hf/torchzip_case.bin"));
  CHECK(tied.code == 0);
  CHECK(contains(tied.out, "8 tensors, 36 elements"));
  CHECK(contains(tied.out, "= shared.weight"));
}

TEST_CASE("inspect: damage is named and ends with 3") {
  const Folder folder;
  std::string bytes = read_file(golden("hf/torchzip_case.bin"));
  bytes[bytes.find("torchzip_case/data/2") + 100] ^= 4;
  write_atomically(folder / "a.bin", bytes);
  const auto refused = [&](const std::string& path, const std::string& reason) {
    const Result r = alinea_program(folder, "inspect" + quoted(path));
    CAPTURE(r.err);
    CHECK(r.code == 3);
    CHECK(contains(r.err, reason));
    CHECK(alinea_program(folder, "convert" + quoted(path) + quoted(folder / "out.safetensors")).code == 3);
    CHECK_FALSE(fs::exists(folder / "out.safetensors"));
  };
  refused(folder / "a.bin", "record 'torchzip_case/data/2' has check sum");
  write_atomically(folder / "b.bin", bytes.substr(0, bytes.size() / 2));
  refused(folder / "b.bin", "the file is truncated");
  make_folder(folder.path / "model");
  refused(folder / "model", "weights");
  fs::copy(golden("hf/mbart_sharded"), folder / "shards");
  fs::remove(folder / "shards/model-00003-of-00006.safetensors");
  refused(folder / "shards", "the shard model-00003-of-00006.safetensors is missing");
  fs::copy(golden("hf/w2v2_oldbin"), folder / "old");
  write_atomically(folder / "old/config.json", "{\"model_type\": \"\xFF\"}");
  const Result config = alinea_program(folder, "inspect" + quoted(folder / "old"));
  CHECK(config.code == 3);
  CHECK(contains(config.err, "config.json: not valid JSON"));
}

TEST_CASE("convert: archive to safetensors, dtypes, shards and back; nothing is overwritten") {
  const Folder folder;
  const auto convert = [&](const std::string& arguments) { return alinea_program(folder, "convert " + arguments); };
  CHECK(convert(golden("hf/torchzip_case.bin") + quoted(folder / "a.safetensors")).code == 0);
  const Checkpoint a = Checkpoint::open(folder / "a.safetensors");
  CHECK_FALSE(a.has("lm_head.weight"));
  CHECK(a.metadata().at("lm_head.weight") == "shared.weight");
  CHECK(a.metadata().at("format") == "pt");
  CHECK(values(folder / "a.safetensors", "t") == std::vector<double>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
  CHECK(a.entry("half").dtype == "F16");
  CHECK(a.entry("bf").dtype == "BF16");
  CHECK(a.entry("long").dtype == "I64");
  CHECK(a.entry("scalar").shape == Shape{});
  const Result again = convert(golden("hf/torchzip_case.bin") + quoted(folder / "a.safetensors"));
  CHECK(again.code == 2);
  CHECK(contains(again.err, "exists already"));
  CHECK(convert(quoted(folder / "a.safetensors") + quoted(folder / "b.safetensors") + " --shard-size 1GB").code == 2);

  // A folder: shards, configuration; half precision and back.
  CHECK(convert(golden("hf/w2v2_oldbin") + quoted(folder / "half") + " --dtype fp16 --shard-size 20kB").code == 0);
  CHECK(Checkpoint::open(folder / "half").files().size() > 2);
  CHECK(Checkpoint::open(folder / "half").entry("lm_head.bias").dtype == "F16");
  CHECK(json::parse(read_file(folder / "half/config.json"))["model_type"] == "wav2vec2");
  CHECK_FALSE(fs::exists(folder / "half/pytorch_model.bin"));
  CHECK(convert(quoted(folder / "half") + quoted(folder / "whole") + " --dtype fp32").code == 0);
  CHECK(fs::exists(folder / "whole/model.safetensors"));
  const auto before = values(golden("hf/w2v2_oldbin"), "lm_head.weight"), after = values(folder / "whole", "lm_head.weight");
  double worst = 0;
  for (size_t i = 0; i < before.size(); ++i) worst = std::max(worst, std::abs(before[i] - after[i]));
  CHECK(worst > 0);
  CHECK(worst < 1e-3);
  CHECK(convert(quoted(folder / "a.safetensors") + quoted(folder / "alone")).code == 0);
  CHECK(std::distance(fs::directory_iterator(folder.path / "alone"), {}) == 1);   // no model folder around the file: weights only
  write_safetensors(folder / "large.safetensors", {{"x", floats({1e6f}, {1})}});
  const Result large = convert(quoted(folder / "large.safetensors") + quoted(folder / "no") + " --dtype fp16");
  CHECK(large.code == 3);
  CHECK(contains(large.err, "does not fit fp16"));
  CHECK_FALSE(fs::exists(folder / "no"));
  for (const auto& entry : fs::directory_iterator(folder.path)) CHECK_FALSE(entry.path().filename().string().ends_with(".tmp"));
  for (const std::string size : {"2XB", "", "-1GB", "0", "1e30GB"}) CHECK(convert(quoted(folder / "whole") + quoted(folder / "no") + " --shard-size" + quoted(size)).code == 2);
}

TEST_CASE("average: the mean of the last or best checkpoints of a run, or of models") {
  const Folder folder;
  make_run(folder.path / "run", {1, 9, 2, 8});
  const auto average = [&](const std::string& arguments) { return alinea_program(folder, "average " + arguments); };
  const std::string run = quoted(folder / "run");
  CHECK(average(run + " --last 3 -o" + quoted(folder / "last")).code == 0);
  CHECK(values(folder / "last", "w") == std::vector<double>{(4.0f + 9 + 16) / 3.0f, 1});
  CHECK(contains(read_file(folder / "last/config.json"), "\"step\": 4"));
  CHECK(fs::exists(folder / "last/vocab.txt"));
  CHECK_FALSE(fs::exists(folder / "last/optimizer.safetensors"));
  CHECK_FALSE(fs::exists(folder / "last/DONE"));
  CHECK(average(run + " --best 2 -o" + quoted(folder / "best")).code == 0);
  CHECK(values(folder / "best", "w") == std::vector<double>{10, 1});
  CHECK(average(quoted(folder / "last") + quoted(folder / "best") + " -o" + quoted(folder / "m.safetensors")).code == 0);
  CHECK(values(folder / "m.safetensors", "w")[0] == doctest::Approx((29.0 / 3 + 10) / 2));

  CHECK(average(run + " -o" + quoted(folder / "x")).code == 2);
  CHECK(average(run + " --last 2 --best 2 -o" + quoted(folder / "x")).code == 2);
  CHECK(contains(average(run + " --last 5 -o" + quoted(folder / "x")).err, "keeps 4 checkpoints, 5 are asked for"));
  CHECK(average(quoted(folder / "last") + " -o" + quoted(folder / "x")).code == 2);
  CHECK(average(quoted(folder / "last") + quoted(folder / "best") + " --last 2 -o" + quoted(folder / "x")).code == 2);
  CHECK(average(run + " --last 2 -o" + quoted(folder / "last")).code == 2);
  write_safetensors(folder / "other.safetensors", {{"w", floats({1, 2, 3}, {3})}});
  const Result other = average(quoted(folder / "last") + quoted(folder / "other.safetensors") + " -o" + quoted(folder / "x"));
  CHECK(other.code == 3);
  CHECK(contains(other.err, "tensor 'w' is F32 [2]"));
  CHECK_FALSE(fs::exists(folder / "x"));
}
