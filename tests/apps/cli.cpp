// The program as a user meets it: exit codes, where output goes, what messages say.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "models/hub/safetensors.h"
#include "tests/apps/program.h"

using namespace alinea;
namespace fs = std::filesystem;
using json = nlohmann::json;

namespace {

void spill(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// A safetensors file with this header and that many bytes of data.
std::string safetensors_of(const std::string& header, size_t data_bytes) {
  uint64_t n = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &n, 8);
  return bytes + header + std::string(data_bytes, '\0');
}

Tensor tensor_of(const std::vector<double>& values, const Shape& shape) { return Context::cpu().from(values.data(), shape); }

}  // namespace

TEST_CASE("cli: help and version go to stdout, with examples") {
  const Folder folder;
  const Result version = alinea_program(folder, "--version"), help = alinea_program(folder, "--help");
  CHECK(version.code == 0);
  CHECK(contains(version.out, "alinea 0."));
  CHECK(help.code == 0);
  for (const std::string command : {"doctor", "data", "train", "eval", "translate", "transcribe", "tokenizer", "forward", "score", "gradcheck", "explain", "analyze", "plot", "op", "inspect", "convert", "average", "demo", "experiment"}) {
    CAPTURE(command);
    CHECK(contains(help.out, "  " + command + " "));
    const Result r = alinea_program(folder, command + " --help");
    CHECK(r.code == 0);
    CHECK(contains(r.out, "Examples:\n  alinea " + command));
    CHECK(r.err.empty());
  }
}

TEST_CASE("cli: wrong usage ends with 2 and says what is wrong on stderr") {
  const Folder folder;
  for (const std::string arguments : {"", "no_such_command", "score", "doctor --no-such-option", "doctor --threads many", "op", "op --in", "explain no/such/run"}) {
    CAPTURE(arguments);
    const Result r = alinea_program(folder, arguments);
    CHECK(r.code == 2);
    CHECK(r.out.empty());
    CHECK_FALSE(r.err.empty());
  }
}

TEST_CASE("cli: an unknown op or key names the nearest known one") {
  const Folder folder;
  const Result op = alinea_program(folder, "op sofmax --in a --out b");
  CHECK(op.code == 2);
  CHECK(contains(op.err, "softmax"));
  const Result family = alinea_program(folder, "explain attention sofmax");
  CHECK(family.code == 2);
  CHECK(contains(family.err, "softmax"));
  const Result size = alinea_program(folder, "explain attention --set heads=3");
  CHECK(size.code == 2);
  CHECK(contains(size.err, "heads"));
  spill(folder / "config.json", "{\n  // comments are fine\n  \"target_words\": 10,\n  \"d_modle\": 64\n}\n");
  const Result key = alinea_program(folder, "explain '" + folder / "config.json" + "'");
  CHECK(key.code == 2);
  CHECK(contains(key.err, "d_modle"));
  CHECK(contains(key.err, "d_model"));
  CHECK(contains(key.err, "config.json"));
}

TEST_CASE("cli: devices that are not there end with 4") {
  const Folder folder;
  const Result no_gpu = alinea_program(folder, "op softmax --in x --out y --device cuda:99");
  CHECK(no_gpu.code == 4);
  for (const std::string dtype : {"tf32", "bf16"}) {
    const Result refused = alinea_program(folder, "train --data none --out none --device cpu --dtype " + dtype);
    CHECK(refused.code == 4);
    CHECK(contains(refused.err, "--dtype " + dtype));
  }
}

TEST_CASE("cli: damaged safetensors end with 3 and the reason") {
  const Folder folder;
  struct Case {
    std::string name, bytes, reason;
  };
  const std::string good = R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::string overlap = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
  const Case cases[] = {{"truncated", safetensors_of(good, 4), "truncated"},
                        {"overlapping", safetensors_of(overlap, 12), "overlaps"},
                        {"huge header", std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8) + "{}", "header"},
                        {"no JSON", safetensors_of("{not json", 0), "JSON"},
                        {"too short", "abc", "few"},
                        {"shape and offsets disagree", safetensors_of(R"({"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8), "12 bytes"},
                        {"shape overflows", safetensors_of(R"({"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8), "too large"}};
  const std::string file = folder / "x.safetensors";
  for (const Case& c : cases) {
    CAPTURE(c.name);
    spill(file, c.bytes);
    const Result r = alinea_program(folder, "inspect '" + file + "'");
    CHECK(r.code == 3);
    CHECK(contains(r.err, c.reason));
    CHECK(contains(r.err, "x.safetensors"));
    CHECK(r.out.empty());
    CHECK(alinea_program(folder, "op softmax --in '" + file + "' --out '" + folder / "y.safetensors" + "'").code == 3);
  }
  CHECK_FALSE(fs::exists(folder / "y.safetensors"));
  CHECK(alinea_program(folder, "inspect '" + folder / "missing" + "'").code == 3);
  spill(file, safetensors_of(good, 8));
  const Result fine = alinea_program(folder, "inspect --json '" + file + "'");
  CHECK(fine.code == 0);
  const json j = json::parse(fine.out);
  CHECK(j["tensors"].size() == 1);
  CHECK(j["tensors"][0]["name"] == "x");
  CHECK(j["bytes"] == 8);
}

TEST_CASE("cli: op computes outputs and gradients as plain numbers do") {
  const Folder folder;
  // y = relu(x Wᵀ + b) with x = (1, 2), W = ((1, −1), (3, 0.5)), b = (0.25, −1): before relu (−0.75, 3).
  write_safetensors(folder / "in.safetensors", {{"x", tensor_of({1, 2}, {1, 2})},
                                                {"weight", tensor_of({1, -1, 3, 0.5}, {2, 2})},
                                                {"bias", tensor_of({0.25, -1}, {2})},
                                                {"grad.y", tensor_of({5, 2}, {1, 2})}});
  for (const std::string dtype : {"f64", "f32"}) {
    CAPTURE(dtype);
    const Result r = alinea_program(folder, "op linear --in '" + folder / "in.safetensors" + "' --out '" + folder / "out.safetensors" + "' --set activation=relu --json -q --dtype " + dtype);
    CHECK(r.code == 0);
    CHECK(r.err.empty());
    CHECK(json::parse(r.out)["y"]["dtype"] == dtype);
    const SafetensorsFile out(folder / "out.safetensors");
    const auto values = [&](const char* name) { return out.load(name, Context::cpu()).values<double>(); };
    CHECK(values("y") == std::vector<double>{0, 3});
    CHECK(values("grad.x") == std::vector<double>{6, 1});                 // (0, 2) W
    CHECK(values("grad.weight") == std::vector<double>{0, 0, 2, 4});
    CHECK(values("grad.bias") == std::vector<double>{0, 2});
    CHECK(out.load("y", Context::cpu()).dtype() == (dtype == "f64" ? DType::f64 : DType::f32));
  }
}

TEST_CASE("cli: op without a given gradient writes outputs only, and refuses what does not fit") {
  const Folder folder;
  const std::string in = folder / "in.safetensors", out = folder / "out.safetensors", files = " --in '" + in + "' --out '" + out + "'";
  write_safetensors(in, {{"x", tensor_of({0, std::log(3.0)}, {1, 2})}});
  CHECK(alinea_program(folder, "op softmax" + files + " --dtype f64").code == 0);
  const SafetensorsFile result(out);
  CHECK(result.entries().size() == 1);
  const auto y = result.load("y", Context::cpu()).values<double>();
  CHECK(y[0] == doctest::Approx(0.25));
  CHECK(y[1] == doctest::Approx(0.75));
  fs::remove(out);

  const Result attribute = alinea_program(folder, "op softmax" + files + " --set axis=1"), missing = alinea_program(folder, "op linear" + files);
  CHECK(attribute.code == 2);
  CHECK(contains(attribute.err, "axis"));
  CHECK(missing.code == 3);
  CHECK(contains(missing.err, "weight"));
  CHECK(contains(missing.err, "linear: x [..., C]"));                     // the row of the table
  write_safetensors(in, {{"x", tensor_of({1, 2}, {1, 2})}, {"grad.z", tensor_of({1, 2}, {1, 2})}});
  CHECK(alinea_program(folder, "op softmax" + files).code == 3);
  write_safetensors(in, {{"x", tensor_of({1, 2}, {1, 2})}, {"grad.y", tensor_of({1, 2, 3}, {1, 3})}});
  CHECK(alinea_program(folder, "op softmax" + files).code == 3);
  write_safetensors(in, {{"x", tensor_of({1, 2}, {1, 2})}, {"weight", tensor_of({1, 2, 3}, {1, 3})}});
  const Result shape = alinea_program(folder, "op linear" + files);
  CHECK((shape.code == 2 || shape.code == 3));
  CHECK(contains(shape.err, "linear: x [..., C]"));
  CHECK_FALSE(fs::exists(out));
}

TEST_CASE("cli: log_mel has frames but no gradient") {
  const Folder folder;
  const std::string files = " --in '" + folder / "in.safetensors" + "' --out '" + folder / "out.safetensors" + "'";
  std::vector<double> sine(800);
  for (size_t i = 0; i < sine.size(); ++i) sine[i] = 8000 * std::sin(0.3 * double(i));
  write_safetensors(folder / "in.safetensors", {{"x", tensor_of(sine, {800})}});
  CHECK(alinea_program(folder, "op log_mel --set bins=40" + files).code == 0);
  CHECK(SafetensorsFile(folder / "out.safetensors").load("y", Context::cpu()).shape() == Shape{3, 40});
  write_safetensors(folder / "in.safetensors", {{"x", tensor_of(sine, {800})}, {"grad.y", tensor_of(std::vector<double>(240), {3, 80})}});
  const Result r = alinea_program(folder, "op log_mel" + files);
  CHECK(r.code == 2);
  CHECK(contains(r.err, "log_mel: has no gradient"));
}

TEST_CASE("cli: gradcheck and op --list are JSON for machines") {
  const Folder folder;
  const Result check = alinea_program(folder, "gradcheck matmul linear --json -q");
  CHECK(check.code == 0);
  CHECK(check.err.empty());
  const json j = json::parse(check.out);
  CHECK(j["failed"] == 0);
  CHECK(j["inputs"].size() == 5);                                         // a, b; x, weight, bias
  CHECK(alinea_program(folder, "gradcheck matmull").code == 2);
  const json ops = json::parse(alinea_program(folder, "op --list --json").out);
  CHECK(ops.size() > 5);
  CHECK(std::any_of(ops.begin(), ops.end(), [](const json& op) { return op["name"] == "log_mel" && op["differentiable"] == false; }));
}

TEST_CASE("cli: explain counts parameters and bytes") {
  const Folder folder;
  spill(folder / "config.json", R"({"target_words": 11, "source_words": 7, "d_model": 16, "heads": 2, "ffn": 32, "encoder_layers": 1, "decoder_layers": 1})");
  const Result r = alinea_program(folder, "explain '" + folder / "config.json" + "' --batch 2 --frames 64 --tokens 5 --json");
  REQUIRE(r.code == 0);
  const json j = json::parse(r.out);
  int64_t sum = 0, kept = 0;
  for (const json& layer : j["layers"]) sum += layer["parameters"].get<int64_t>();
  for (const auto& [op, bytes] : j["bytes_kept_for_backward"].items()) kept += bytes.get<int64_t>();
  CHECK(sum == j["parameters"]);
  CHECK(kept > 0);
  spill(folder / "text.json", R"({"model": {"model_type": "alinea_text", "source_words": 11, "target_words": 11, "share_embeddings": true, "d_model": 16, "heads": 2, "ffn": 32,
    "encoder_layers": 1, "decoder_layers": 1, "attention": {"decoder_cross": "linear"}}})");
  const json text = json::parse(alinea_program(folder, "explain '" + folder / "text.json" + "' --batch 2 --source-tokens 6 --tokens 5 --json").out);
  CHECK(text["states"] == 6);
  CHECK(text["bytes_kept_for_backward"].contains("linear_attention"));
  const Result attention = alinea_program(folder, "explain attention softmax --set T=8 --json");
  CHECK(attention.code == 0);
  CHECK(json::parse(attention.out)[0]["name"] == "softmax");
}

TEST_CASE("cli: score prints signatures, and the error rates of plain counting") {
  const Folder folder;
  spill(folder / "out.txt", "the cat sat on the mat\na b c d\n");
  spill(folder / "ref.txt", "the cat sat on the mat\r\na b x d e\n");
  const std::string files = " '" + folder / "out.txt" + "' '" + folder / "ref.txt" + "'";
  const Result same = alinea_program(folder, "score bleu '" + folder / "out.txt" + "' '" + folder / "out.txt" + "'");
  CHECK(same.code == 0);
  CHECK(contains(same.out, "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:"));
  CHECK(contains(same.out, "= 100.00"));
  const json wer = json::parse(alinea_program(folder, "score wer --json" + files).out);
  CHECK(wer["substitutions"] == 1);
  CHECK(wer["deletions"] == 1);
  CHECK(wer["reference_length"] == 11);
  CHECK(wer["exact_match"] == 50.0);
  const json chrf = json::parse(alinea_program(folder, "score chrf --word-order 2 --json" + files).out);
  CHECK(chrf["name"] == "chrF2++");
  CHECK(alinea_program(folder, "score bleu --tokenize none-such" + files).code == 2);
  CHECK(alinea_program(folder, "score bleu '" + folder / "missing" + "' '" + folder / "ref.txt" + "'").code == 3);
  spill(folder / "ref.txt", "one line\n");
  CHECK(alinea_program(folder, "score bleu" + files).code == 2);
  CHECK(alinea_program(folder, "score latency '" + folder.path.string() + "'").code == 3);
}
