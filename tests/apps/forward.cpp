// alinea forward against recorded results of transformers, and what it refuses.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "models/hub/safetensors.h"
#include "tests/apps/program.h"
#include "tests/golden.h"

using namespace alinea;
namespace fs = std::filesystem;

TEST_CASE("forward: every recorded case of a whole model agrees") {
  const Folder folder;
  int cases = 0;
  for (const auto& entry : fs::directory_iterator(golden("hf"))) {
    if (!fs::exists(entry.path() / "config.json") || !fs::exists(entry.path() / "expected.safetensors")) continue;
    const Result r = alinea_program(folder, "forward " + entry.path().string() + " --case " + entry.path().string());
    INFO(entry.path().string() << "\n" << r.out << r.err);
    CHECK(r.code == 0);
    ++cases;
  }
  CHECK(cases >= 8);
}

TEST_CASE("forward: a case with one wrong number falls short and names the tensor") {
  const Folder folder;
  const std::string model = golden("hf/mbart_fp16");
  fs::copy(model, folder.path / "case", fs::copy_options::recursive);
  NamedTensors expected = SafetensorsFile(folder.path / "case/expected.safetensors").load_all(Context::cpu());
  for (auto& [name, t] : expected) {
    t = t.clone();
    if (name == "logits") t.data<float>()[7] += 0.01f;
  }
  write_safetensors(folder.path / "case/expected.safetensors", expected);
  const Result r = alinea_program(folder, "forward " + model + " --case " + (folder / "case") + " --json");
  CHECK(r.code == 1);
  const auto j = nlohmann::json::parse(r.out);
  CHECK(j["ok"] == false);
  for (const auto& row : j["tensors"]) CHECK(row["ok"] == (row["tensor"] != "logits"));
}

TEST_CASE("forward: outputs, gradients and generated ids go to a file; mistakes are named") {
  const Folder folder;
  const std::string model = golden("hf/mbart"), in = model + "/inputs.safetensors", out = folder / "out.safetensors";
  const Result r = alinea_program(folder, "forward " + model + " --in " + in + " --out " + out +
                                              " --hidden-states --grad model.shared.weight,model.decoder.layer_norm.bias --loss smoothing=0.1 --generate num_beams=5,max_length=14");
  INFO(r.err);
  REQUIRE(r.code == 0);
  const SafetensorsFile file(out);
  for (const char* name : {"logits", "loss", "encoder_hidden_states.0", "decoder_hidden_states.3", "grad.model.shared.weight", "sequences", "scores"}) CHECK(file.has(name));
  CHECK(!file.has("grad.model.encoder.layer_norm.bias"));
  const SafetensorsFile want(model + "/expected.safetensors");
  CHECK(file.load("loss", Context::cpu()).item() == doctest::Approx(want.load("loss_smooth_0.1_mean", Context::cpu()).item()).epsilon(1e-5));
  CHECK(file.load("sequences", Context::cpu()).values<int64_t>() == want.load("gen.beam.sequences", Context::cpu()).values<int64_t>());

  const SafetensorsFile given(in);
  write_safetensors(folder.path / "source.safetensors", {{"input_ids", given.load("input_ids", Context::cpu())}, {"attention_mask", given.load("attention_mask", Context::cpu())}});
  const std::string source = "forward " + model + " --in " + (folder / "source.safetensors") + " --out " + (folder / "ids.safetensors");
  REQUIRE(alinea_program(folder, source + " --generate num_beams=5,max_length=14").code == 0);
  const SafetensorsFile ids(folder / "ids.safetensors");
  CHECK(ids.entries().size() == 2);
  CHECK(ids.load("sequences", Context::cpu()).values<int64_t>() == want.load("gen.beam.sequences", Context::cpu()).values<int64_t>());
  CHECK(contains(alinea_program(folder, source).err, "lack 'labels' or 'decoder_input_ids'"));

  const std::string call = "forward " + model + " --in " + in + " --out " + out;
  const Result wrong_name = alinea_program(folder, call + " --grad model.shared.wieght");
  CHECK(wrong_name.code == 2);
  CHECK(contains(wrong_name.err, "did you mean 'model.shared.weight'"));
  CHECK(alinea_program(folder, call + " --loss smoothing=2").code == 2);
  CHECK(alinea_program(folder, call + " --generate num_beems=2").code == 2);
  CHECK(alinea_program(folder, "forward no/such-model --in " + in + " --out " + out).code == 3);
  write_safetensors(folder.path / "wrong.safetensors", {{"input_idz", Context::cpu().zeros({1, 3}, DType::i64)}});
  const Result input = alinea_program(folder, "forward " + model + " --in " + (folder / "wrong.safetensors") + " --out " + out);
  CHECK(input.code == 3);
  CHECK(contains(input.err, "input_idz"));
}
