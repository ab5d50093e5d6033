// Checkpoints of one file or many, and how their tensors meet a module.
#include "models/hub/weights.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/files.h"
#include "models/hub/model_directory.h"
#include "tests/apps/program.h"
#include "tests/golden.h"
#include "tests/models/hub_files.h"

using namespace alinea;
namespace fs = std::filesystem;

namespace {

Context& cpu = Context::cpu();

Tensor floats(const std::vector<float>& v, const Shape& shape) { return cpu.from(v.data(), shape); }
std::vector<float> counting(int64_t n, float from = 0) {
  std::vector<float> v;
  for (int64_t i = 0; i < n; ++i) v.push_back(from + float(i));
  return v;
}

// Parameters by name; a name may stand for the parameter of another one.
struct Named final : Module {
  std::vector<std::pair<std::string, std::shared_ptr<Parameter>>> list;
  Parameter& add(const std::string& name, const Shape& shape, RandomKey key = RandomKey::deferred()) {
    list.emplace_back(name, std::make_shared<Parameter>(normal_parameter(cpu, shape, 1, key)));
    return *list.back().second;
  }
  void tie(const std::string& name, size_t to) { list.emplace_back(name, list[to].second); }
  void visit(const std::string& prefix, const Visitor& v) override {
    for (auto& [name, p] : list) v(path(prefix, name), *p);
  }
};

Checkpoint saved(const Folder& folder, const NamedTensors& tensors) {
  write_safetensors(folder / "w.safetensors", tensors);
  return Checkpoint::open(folder / "w.safetensors");
}

}  // namespace

TEST_CASE("checkpoint: one file, shards, and what is missing or contradicts") {
  const Folder folder;
  CHECK(contains(data_error([&] { Checkpoint::open(folder.path); }), "there are no weights here"));
  CHECK(contains(data_error([&] { Checkpoint::open(folder / "no"); }), "there is no such file"));
  const NamedTensors tensors = {{"a", floats(counting(10), {10})}, {"b", floats(counting(6, 10), {2, 3})}, {"c", floats(counting(4, 16), {4})}};
  save_weights(folder.path, outgoing(tensors));
  CHECK(Checkpoint::open(folder.path).files().size() == 1);
  save_weights(folder.path, outgoing(tensors), {.shard_bytes = 40});
  const Checkpoint shards = Checkpoint::open(folder.path);
  CHECK(shards.files() == std::vector<fs::path>{folder / "model-00001-of-00002.safetensors", folder / "model-00002-of-00002.safetensors"});
  CHECK_FALSE(fs::exists(folder / "model.safetensors"));    // of the older save
  for (const auto& [name, t] : tensors) CHECK(shards.load(name, cpu).values<float>() == t.values<float>());
  CHECK(shards.metadata().at("format") == "pt");
  CHECK(contains(read_file(folder / "model.safetensors.index.json"), "\"total_size\": 80"));

  const std::string index = read_file(folder / "model.safetensors.index.json");
  const auto with_index = [&](const std::string& text) {
    write_atomically(folder / "model.safetensors.index.json", text);
    return data_error([&] { Checkpoint::open(folder.path); });
  };
  const std::string file = "\"model-00001-of-00002.safetensors\"";
  CHECK(contains(with_index("{"), "not valid JSON"));
  CHECK(contains(with_index("{\"weight_map\": {\"\xFF\": 1}}"), "not valid JSON"));
  CHECK(contains(with_index("[1]"), "no weight_map"));
  CHECK(contains(with_index(std::string(100000, '[')), "nested more than 64 deep"));
  CHECK(contains(with_index(R"({"weight_map": {"a": 1}})"), "the file of tensor 'a' is no text"));
  CHECK(contains(with_index(R"({"weight_map": {"a": "../model.safetensors"}})"), "not a name in the same folder"));
  CHECK(contains(with_index(R"({"weight_map": {"a": "x\u0000"}})"), "not a name in the same folder"));
  CHECK(contains(with_index("{\"weight_map\": {\"c\": " + file + "}}"), "tensor 'c' should be in model-00001-of-00002.safetensors"));
  CHECK(contains(with_index("{\"weight_map\": {\"a\": " + file + ", \"b\": \"model-00009-of-00002.safetensors\"}}"), "the shard model-00009-of-00002.safetensors is missing"));
  with_index(index);
  write_safetensors(folder / "model-00002-of-00002.safetensors", tensors);
  CHECK(contains(data_error([&] { Checkpoint::open(folder.path); }), "tensor 'a' is in an earlier shard, too"));
}

TEST_CASE("checkpoint: six shards that save_pretrained wrote; an old .bin; bf16") {
  const Checkpoint shards = Checkpoint::open(golden("hf/mbart_sharded"));
  CHECK(shards.files().size() == 6);
  CHECK(shards.entries().size() == 80);
  int64_t bytes = 0;
  for (const TensorEntry& e : shards.entries()) bytes += e.bytes;
  CHECK(bytes == 119824);
  CHECK(Checkpoint::open(golden("hf/w2v2_oldbin")).entry("lm_head.bias").dtype == "F32");
  const Folder folder;
  const Checkpoint half = saved(folder, {{"x", floats({1.5f, -2}, {2}).to(DType::bf16)}});
  CHECK(half.load("x", cpu).dtype() == DType::f32);
  CHECK(half.load("x", cpu, Checkpoint::Bf16::keep).dtype() == DType::bf16);
  CHECK(half.load("x", cpu).values<float>() == std::vector<float>{1.5f, -2});
}

TEST_CASE("load_weights: placeholders are bound to the file, parameters with memory keep it") {
  const Folder folder;
  const Checkpoint file = saved(folder, {{"a", floats(counting(6), {2, 3})}, {"b", floats(counting(2), {2})}});
  Named model;
  Parameter& a = model.add("a", {2, 3});
  Parameter& b = model.add("b", {2}, RandomKey{1});
  float* const memory = b.value.data<float>();
  const int64_t before = cpu.memory().live;
  CHECK_THROWS_WITH_AS(a.value.data<float>(), doctest::Contains("the weights are not loaded"), Error);
  CHECK(load_weights(model, file).empty());
  CHECK(cpu.memory().live == before);
  CHECK(a.value.values<float>() == counting(6));
  CHECK(b.value.data<float>() == memory);
  CHECK(b.value.values<float>() == counting(2));
  Named narrow;
  narrow.add("a", {2, 3}), narrow.add("b", {2});
  load_weights(narrow, file, {.bf16 = {"a"}});
  CHECK(narrow.list[0].second->value.dtype() == DType::bf16);
  CHECK(narrow.list[0].second->value.values<float>() == counting(6));
  CHECK(narrow.list[1].second->value.dtype() == DType::f32);
  FlatParameters flat(narrow);                              // training widens
  CHECK(narrow.list[0].second->value.dtype() == DType::f32);
  CHECK(narrow.list[0].second->value.values<float>() == counting(6));
}

TEST_CASE("load_weights: everything that does not fit is listed, and the module stays as it was") {
  const Folder folder;
  const int64_t ids[] = {1};
  const Checkpoint file = saved(folder, {{"a", floats(counting(6), {2, 3})}, {"pos.weights", floats({1}, {1})}, {"extra", floats({1}, {1})}, {"count", cpu.from(ids, {1})}, {"fine", floats({5}, {1})}});
  Named model;
  model.add("a", {3, 2}), model.add("gone", {2, 2}), model.add("count", {1});
  Parameter& fine = model.add("fine", {1});
  const std::string message = data_error([&] { load_weights(model, file); });
  CHECK(contains(message, "5 names are wrong"));
  CHECK(contains(message, "misshapen: a is [2, 3], the model needs [3, 2]"));
  CHECK(contains(message, "missing: gone [2, 2]"));
  CHECK(contains(message, "unexpected: extra [1]"));
  CHECK(contains(message, "unexpected: pos.weights [1]"));
  CHECK(contains(message, "not floating point: count is I64"));
  CHECK(fine.value.placeholder());
  CHECK_FALSE(contains(data_error([&] { load_weights(model, file, {.ignored = {"pos.*", "extra"}}); }), "unexpected"));
  CHECK(contains(data_error([&] { load_weights(model, file, {.optional = {"gone"}}); }), "missing: gone"));   // it has no values to keep
  Named head;
  head.add("head", {2}, RandomKey{1}), head.add("fine", {1});
  const auto kept = load_weights(head, file, {.optional = {"hea*"}, .ignored = {"a", "*.weights", "extra", "count"}});
  CHECK(kept == std::vector<std::string>{"head"});
  Named renamed;
  renamed.add("base.fine", {1});
  load_weights(renamed, file, {.rename = [](const std::string& name) { return name == "fine" ? "base.fine" : ""; }});
  CHECK(renamed.list[0].second->value.item() == 5);
}

TEST_CASE("load_weights: tied parameters have any of their names; two names must agree") {
  const Folder folder;
  const auto load = [&](const NamedTensors& tensors, bool alias) {
    Named model;
    model.add("shared", {2});
    model.tie("decoder.embed", 0);
    load_weights(model, saved(folder, tensors), alias ? LoadRules{.aliases = {{"lm_head", "decoder.embed"}}} : LoadRules{});
    return model.list[0].second->value.values<float>();
  };
  const Tensor one = floats({1, 2}, {2}), other = floats({1, 3}, {2});
  CHECK(load({{"shared", one}}, false) == std::vector<float>{1, 2});
  CHECK(load({{"decoder.embed", one}}, false) == std::vector<float>{1, 2});
  CHECK(load({{"lm_head", one}}, true) == std::vector<float>{1, 2});
  CHECK(load({{"lm_head", one}, {"shared", one}, {"decoder.embed", one}}, true) == std::vector<float>{1, 2});
  CHECK(contains(data_error([&] { load({{"shared", one}, {"lm_head", other}}, true); }), "differ: shared and lm_head"));
  CHECK(contains(data_error([&] { load({{"shared", one}, {"lm_head", one}}, false); }), "unexpected: lm_head"));
}

TEST_CASE("load_weights: all spellings of weight norm") {
  const Folder folder;
  const Tensor v = floats(counting(12, 1), {2, 3, 2}), g = floats({2, 3}, {1, 1, 2});
  const auto load = [&](const NamedTensors& tensors) {
    Named model;
    model.add("conv.parametrizations.weight.original0", {1, 1, 2});
    model.add("conv.parametrizations.weight.original1", {2, 3, 2});
    load_weights(model, saved(folder, tensors));
    return std::pair(model.list[0].second->value.values<float>(), model.list[1].second->value.values<float>());
  };
  const auto want = std::pair(g.values<float>(), v.values<float>());
  CHECK(load({{"conv.parametrizations.weight.original0", g}, {"conv.parametrizations.weight.original1", v}}) == want);
  CHECK(load({{"conv.weight_g", g}, {"conv.weight_v", v}}) == want);
  const auto folded = load({{"conv.weight", v}});
  CHECK(folded.second == v.values<float>());
  CHECK(folded.first[0] == doctest::Approx(std::sqrt(1.0 + 9 + 25 + 49 + 81 + 121)));
  CHECK(folded.first[1] == doctest::Approx(std::sqrt(4.0 + 16 + 36 + 64 + 100 + 144)));
  CHECK(contains(data_error([&] { load({{"conv.weight_v", v}}); }), "missing: conv.parametrizations.weight.original0"));
  CHECK(contains(data_error([&] { load({{"conv.weight", floats(counting(4), {2, 2})}}); }), "misshapen: conv.weight is [2, 2]"));
}

TEST_CASE("patterns of names") {
  CHECK(matches("a.b.c", "a.b.c"));
  CHECK(matches("a.b.c", "*.c"));
  CHECK(matches("a.b.c", "a*c"));
  CHECK(matches("a.b.c", "**b*"));
  CHECK_FALSE(matches("a.b.c", "b"));
  CHECK_FALSE(matches("a.b.c", "a*b"));
  CHECK(matches("", "*"));
  CHECK_FALSE(matches("", "a"));
}

TEST_CASE("models: sizes in config.json that no weights can have are a bad file, told before anything is allocated") {
  const fs::path source = golden("hf/mbart");
  const auto complaint = [&](const char* name, const nlohmann::json& value) {
    const Folder folder;
    nlohmann::json config = nlohmann::json::parse(read_file(source / "config.json"));
    config[name] = value;
    write_atomically(folder / "config.json", config.dump());
    fs::copy(source / "model.safetensors", folder.path / "model.safetensors");
    Context::cpu().reset_peak();
    const int64_t before = Context::cpu().memory().peak;
    const std::string message = data_error([&] { load_text_model(folder.path, Context::cpu()); });
    CHECK(Context::cpu().memory().peak - before < 1 << 20);
    CHECK(contains(message, folder / "config.json"));
    return message;
  };
  CHECK(contains(complaint("vocab_size", 1000000000), "vocab_size 1000000000"));
  CHECK(contains(complaint("d_model", 1000000000), "d_model 1000000000"));
  CHECK(contains(complaint("decoder_layers", 1000000000), "decoder_layers 1000000000"));
  CHECK(contains(complaint("decoder_layers", 0), "decoder_layers"));
  CHECK(contains(complaint("decoder_ffn_dim", 1000000000000), "decoder_ffn_dim 1000000000000"));
  CHECK(contains(complaint("max_position_embeddings", 10000000000), "max_position_embeddings 10000000000"));
  CHECK(contains(complaint("decoder_attention_heads", 5), "decoder_attention_heads 5"));
  CHECK(contains(complaint("vocab_size", "many"), "vocab_size"));
  CHECK(contains(complaint("activation_function", "swish"), "activation_function 'swish'"));
  CHECK(contains(complaint("pad_token_id", 1000), "pad_token_id 1000"));
  CHECK(contains(complaint("alinea", {{"attention", {{"encoder_self", {"softmax", "softmax", "softmax"}}}}}), "alinea.attention.encoder_self"));
}
