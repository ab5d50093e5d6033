// Speech translation out of Hugging Face's parts: a wav2vec2 and an mBART put together, or a Speech2Text, learn to say what tones they hear.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/sound_task.h"
#include "apps/trainer.h"
#include "data/tokenizers/files.h"
#include "models/hub/model_directory.h"
#include "models/hub/safetensors.h"
#include "models/hub/wav2vec2.h"
#include "tests/apps/program.h"
#include "tests/apps/tones.h"

using namespace alinea;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

void make_encoder(const fs::path& folder) {
  Wav2Vec2Config c;
  Config file = Config::text(R"({"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "do_stable_layer_norm": true, "feat_extract_norm": "layer",
                                 "conv_bias": true, "layerdrop": 0, "hidden_dropout": 0, "attention_dropout": 0, "conv_dim": [16, 16, 16], "conv_kernel": [20, 8, 4], "conv_stride": [10, 8, 4],
                                 "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "mask_time_prob": 0})", "encoder");
  c.fields(file);
  Wav2Vec2 model(Context::cpu(), c, RandomKey{3});
  save_wav2vec2(folder, model, c, "Wav2Vec2Model");
}

// Text of three words, as a tokenizer's corpus.
void make_text(const Folder& f) {
  std::string text;
  for (const char* a : {"rot", "blau", "gruen"})
    for (const char* b : {"rot", "blau", "gruen"})
      for (const char* c : {"rot", "blau", "gruen"}) text += std::string(a) + " " + b + " " + c + "\n" + a + "\n";
  write_atomically(f / "text", text);
}

void make_decoder(const Folder& f, const std::string& folder) {
  REQUIRE(alinea_program(f, "tokenizer train --layout mbart --vocabulary 16 '" + f / "text" + "' -o '" + f / folder + "'").code == 0);
  TextConfig c;
  Config file = Config::text(R"({"model_type": "mbart", "d_model": 16, "heads": 2, "ffn": 32, "encoder_layers": 1, "decoder_layers": 1, "max_positions": 64, "activation": "gelu", "dropout": 0,
                                 "positions": "learned", "embedding_norm": true, "logits_bias": true, "share_embeddings": true})", "decoder");
  c.fields(file);
  c.source_words = c.target_words = open_tokenizer(f / folder)->size();
  c.pad_token = 1, c.bos_token = 0, c.eos_token = 2;
  TextTransformer model(Context::cpu(), c, RandomKey{4});
  save_model(f / folder, model);
}

Config tiny(const fs::path& data, int steps) {
  Config c = Config::text(R"({"log_every": 1, "save_every": 100, "schedule": {"kind": "constant", "warmup": 5}, "optimizer": {"lr": 1e-2}, "loss": {"smoothing": 0},
                              "validation": {"every": 0, "decoding": {"max_length": 12}}, "waves": {"batch_seconds": 3, "min_seconds": 0.1, "max_seconds": 2}})", "tiny");
  c.set("steps", std::to_string(steps));
  c.set("data", data.string());
  return c;
}

double last_loss(const fs::path& run) {
  std::ifstream in(run / "log.jsonl");
  std::string line, last;
  while (std::getline(in, line)) last = line;
  return Json::parse(last)["loss"].get<double>();
}

std::vector<float> values(const fs::path& directory, const std::string& name) { return SafetensorsFile(directory / "model.safetensors").load(name, Context::cpu()).values<float>(); }

// A run in two parts gives the bytes of one in a whole.
void check_resume(const Folder& f, const std::function<Config(int)>& config, const std::string& init) {
  REQUIRE(run_training(Context::cpu(), config(6), f / "six", init, true) == 0);
  REQUIRE(run_training(Context::cpu(), config(3), f / "parts", init, true) == 0);
  std::string text = read_file(f / "parts/config.json");
  const std::string from = "\"steps\": 3";
  write_atomically(f / "parts/config.json", text.replace(text.find(from), from.size(), "\"steps\": 6"));
  REQUIRE(run_training(Context::cpu(), {}, f / "parts", {}, true) == 0);
  for (const char* file : {"last/model.safetensors", "last/optimizer.safetensors", "log.jsonl"}) CHECK(read_file(f / ("parts/" + std::string(file))) == read_file(f / ("six/" + std::string(file))));
}

}  // namespace

TEST_CASE("sound: a wav2vec2 and an mBART's decoder are put together, learn, and are a directory that translates and trains on") {
  Folder f;
  make_text(f);
  make_tones(f / "data", {"rot", "blau", "gruen"}, " ", "de");
  make_encoder(f / "encoder");
  make_decoder(f, "decoder");
  const auto joined = [&](int steps) {
    Config c = tiny(f / "data", steps);
    c.set("decoder_from", f / "decoder");
    return c;
  };
  Config config = joined(120);
  config.set("freeze", R"(["encoder.feature_extractor"])");
  REQUIRE(run_training(Context::cpu(), config, f / "run", f / "encoder", true) == 0);
  CHECK(last_loss(f / "run") < 0.1);
  const fs::path model = model_path(f / "run");
  for (const char* file : {"config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json", "sentencepiece.bpe.model", "tokenizer_config.json"}) CHECK(fs::exists(model / file));
  const Json written = Json::parse(read_file(model / "config.json"));
  CHECK(written["model_type"] == "speech-encoder-decoder");
  CHECK(written["decoder"]["add_cross_attention"] == true);
  CHECK(written["decoder_start_token_id"] == Json::parse(read_file(model / "generation_config.json"))["decoder_start_token_id"]);

  const std::string frozen = "feature_extractor.conv_layers.1.conv.weight", decoded = "model.decoder.layers.0.fc1.weight";
  CHECK(values(model, "encoder." + frozen) == values(f / "encoder", frozen));
  CHECK(values(model, "decoder." + decoded) != values(f / "decoder", decoded));

  const Result eval = alinea_program(f, "eval '" + f / "run" + "' --split train --json --out '" + f / "eval" + "'");
  INFO(eval.err);
  REQUIRE(eval.code == 0);
  CHECK(Json::parse(eval.out)[0]["sentences"] == 12);
  CHECK(Json::parse(eval.out)[0]["loss"].get<double>() < 0.1);
  const auto rows = read_manifest(f / "data/train.tsv");
  CHECK(alinea_program(f, "translate '" + f / "run" + "' '" + f / "data/train2.wav" + "'").out == rows[2].tgt_text + "\n");
  CHECK(alinea_program(f, "translate --dtype bf16 '" + f / "run" + "' '" + f / "data/train2.wav" + "'").out == rows[2].tgt_text + "\n");
  check_resume(f, joined, f / "encoder");
  CHECK(alinea_program(f, "train -q --init-from '" + model.string() + "' --data '" + f / "data" + "' --set steps=1 --set validation.every=0 --out '" + f / "further" + "'").code == 0);
}

TEST_CASE("sound: a fresh adapter, settings over those of a whole directory, and what is refused") {
  Folder f;
  make_text(f);
  make_tones(f / "data", {"rot", "blau", "gruen"}, " ", "de");
  make_encoder(f / "encoder");
  make_decoder(f, "decoder");
  Config config = tiny(f / "data", 2);
  config.set("decoder_from", f / "decoder");
  config.set("model.encoder", R"({"add_adapter": true, "num_adapter_layers": 1})");
  REQUIRE(run_training(Context::cpu(), config, f / "first", f / "encoder", true) == 0);
  CHECK(values(f / "first/last", "encoder.adapter.layers.0.conv.weight").size() == 2 * 24 * 24 * 3);
  Config next = tiny(f / "data", 1);
  next.set("model.decoder.dropout", "0.5"), next.set("freeze", R"(["*"])"), next.set("train", R"(["*layer_norm", "decoder.model.decoder.layers.*.encoder_attn."])");
  REQUIRE(run_training(Context::cpu(), next, f / "next", f / "first", true) == 0);
  CHECK(Json::parse(read_file(f / "next/last/config.json"))["decoder"]["dropout"] == 0.5);
  CHECK(values(f / "next/last", "decoder.model.decoder.layers.0.fc1.weight") == values(f / "first/last", "decoder.model.decoder.layers.0.fc1.weight"));
  CHECK(values(f / "next/last", "decoder.model.decoder.layers.0.encoder_attn.k_proj.weight") != values(f / "first/last", "decoder.model.decoder.layers.0.encoder_attn.k_proj.weight"));
  const auto refused = [&](const std::string& arguments, int code, const std::string& part) {
    const Result r = alinea_program(f, "train -q --data '" + f / "data" + "' --set validation.every=0 --set steps=1 --out '" + f / "refused" + "' " + arguments);
    CAPTURE(r.err);
    CHECK(r.code == code);
    CHECK(contains(r.err, part));
  };
  refused("--set model.model_type=speech-encoder-decoder", 2, "--init-from");
  refused("--set model.model_type=speech-encoder-decoder --init-from '" + f / "encoder" + "'", 2, "decoder_from");
  refused("--set decoder_from='" + f / "encoder" + "' --init-from '" + f / "encoder" + "'", 3, "mbart");
  refused("--set model.decoder.d_model=17 --init-from '" + f / "first" + "'", 2, "17");
}

TEST_CASE("sound: a Speech2Text directory trains on, with its own features and tokenizer") {
  Folder f;
  make_text(f);
  make_tones(f / "data", {"rot", "blau", "gruen"}, " ");
  REQUIRE(alinea_program(f, "tokenizer train --layout mbart --vocabulary 16 '" + f / "text" + "' -o '" + f / "pieces" + "'").code == 0);
  fs::create_directories(f / "s2t");
  fs::copy(f / "pieces/sentencepiece.bpe.model", f / "s2t/sentencepiece.bpe.model");
  const auto pieces = open_tokenizer(f / "pieces");
  Json vocabulary = {{"<s>", 0}, {"<pad>", 1}, {"</s>", 2}, {"<unk>", 3}};
  for (int32_t id = 4; id < 17; ++id) vocabulary[pieces->piece(id)] = id;
  write_atomically(f / "s2t/vocab.json", vocabulary.dump());
  write_atomically(f / "s2t/tokenizer_config.json", R"({"tokenizer_class": "Speech2TextTokenizer"})");
  write_atomically(f / "s2t/config.json", R"({"model_type": "speech_to_text", "vocab_size": 17, "d_model": 16, "encoder_layers": 1, "encoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_layers": 1,
      "decoder_ffn_dim": 32, "decoder_attention_heads": 2, "dropout": 0.0, "conv_channels": 32, "max_source_positions": 600, "max_target_positions": 64, "decoder_start_token_id": 2})");
  FeatureExtractor{.kind = "Speech2TextFeatureExtractor"}.save(f / "s2t");
  S2TTransformer fresh(Context::cpu(), read_speech_model_config(f / "s2t"), RandomKey{5});
  save_model(f / "s2t", fresh);
  REQUIRE(run_training(Context::cpu(), tiny(f / "data", 150), f / "run", f / "s2t", true) == 0);
  CHECK(last_loss(f / "run") < 0.2);
  const auto rows = read_manifest(f / "data/train.tsv");
  const Result said = alinea_program(f, "translate '" + f / "run" + "' '" + f / "data/train2.wav" + "'");
  INFO(said.err);
  CHECK(said.out == rows[2].tgt_text + "\n");
  check_resume(f, [&](int steps) { return tiny(f / "data", steps); }, f / "s2t");
}
