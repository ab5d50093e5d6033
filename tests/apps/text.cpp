// Text translation from files to scores on a tiny corpus: training resumes byte for byte, experiments continue, options are refused by
// name.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/experiment.h"
#include "apps/text_evaluate.h"
#include "apps/trainer.h"
#include "data/recipes/text.h"
#include "engine/core/files.h"
#include "models/hub/model_directory.h"
#include "tests/apps/program.h"
#include "tests/apps/tiny.h"

using namespace alinea;
using namespace alinea::tiny_text;
namespace fs = std::filesystem;
using Json = nlohmann::json;

TEST_CASE("text training: stopped and resumed equals uninterrupted, byte for byte; another seed differs") {
  Folder f;
  make_corpus(f.path);
  CHECK(run_training(Context::cpu(), tiny(f.path / "data", 30), f.path / "whole", {}, true) == 0);
  CHECK(run_training(Context::cpu(), tiny(f.path / "data", 13), f.path / "parts", {}, true) == 0);
  std::string config = read_file(f.path / "parts" / "config.json");
  config.replace(config.find("\"steps\": 13"), 11, "\"steps\": 30");
  write_atomically(f.path / "parts" / "config.json", config);
  CHECK(run_training(Context::cpu(), {}, f.path / "parts", {}, true) == 0);
  for (const char* file : {"model.safetensors", "optimizer.safetensors", "subwords.model", "config.json"})
    CHECK(read_file(f.path / "whole" / "last" / file) == read_file(f.path / "parts" / "last" / file));
  CHECK(read_file(f.path / "whole" / "log.jsonl") == read_file(f.path / "parts" / "log.jsonl"));
  Config other = tiny(f.path / "data", 30);
  other.set("seed", "2");
  run_training(Context::cpu(), other, f.path / "other", {}, true);
  CHECK(read_file(f.path / "whole" / "last" / "model.safetensors") != read_file(f.path / "other" / "last" / "model.safetensors"));
}

TEST_CASE("text: a model learns the little language; eval and translate agree with it, greedy and with beams") {
  Folder f;
  make_corpus(f.path, false);
  Config config = tiny(f.path / "data", 250);
  config.set("model.share_embeddings", "false"), config.set("loss.smoothing", "0"), config.set("model.dropout", "0");
  REQUIRE(run_training(Context::cpu(), config, f.path / "run", {}, true) == 0);
  const std::string run = (f.path / "run").string();
  for (const std::string beam : {"1", "4"}) {
    const Result r = alinea_program(f, "eval " + run + " --json --beam " + beam + " --out " + (f.path / "eval").string());
    CAPTURE(r.err);
    REQUIRE(r.code == 0);
    const Json row = Json::parse(r.out)[0];
    CHECK(row["bleu"].get<double>() > 90);
    CHECK(row["loss"].get<double>() < 0.3);
    CHECK(contains(row["bleu_signature"].get<std::string>(), "tok:13a"));
    CHECK(fs::exists(f.path / "eval" / (beam == "1" ? "greedy" : "beam 4") / "hypotheses.txt"));
  }
  const Result stdin_lines = alinea_program(f, "translate " + run + " -", "the blue cat sees a tree\n\nthe red dog sees a house\n");
  CHECK(stdin_lines.code == 0);
  CHECK(stdin_lines.out == "das Katze blau sieht ein Baum\n\ndas Hund rot sieht ein Haus\n");
  CHECK(alinea_program(f, "translate --dtype bf16 " + run + " -", "the blue cat sees a tree\n\nthe red dog sees a house\n").out == stdin_lines.out);
  const Result stored = alinea_program(f, "eval " + run + " --json --dtype bf16");
  INFO(stored.err);
  REQUIRE(stored.code == 0);
  CHECK(Json::parse(stored.out)[0]["bleu"].get<double>() > 90);
  write_atomically(f.path / "lines.txt", "the blue cat sees a tree\nthe red dog sees a house");
  CHECK(alinea_program(f, "translate --beam 3 " + run + " " + (f.path / "lines.txt").string()).out ==
        "das Katze blau sieht ein Baum\ndas Hund rot sieht ein Haus\n");
}

TEST_CASE("text: an mBART trained from scratch is a Hugging Face directory that runs, translates and trains on") {
  Folder f;
  make_corpus(f.path);
  const std::string data = f / "mdata", run = f / "mbart";
  const Result made = alinea_program(f, "data prepare text --source " + (f / "en.txt") + " --target " + (f / "de.txt") +
                                            " --tokenizer mbart --model unigram --vocab-size 34 --from en --to de --out " + data);
  INFO(made.err);
  REQUIRE(made.code == 0);
  CHECK(alinea_program(f, "data check " + data).code == 0);
  write_atomically(f.path / "mbart.json",
                   R"({"batch_tokens": 120, "steps": 12, "save_every": 100, "schedule": {"kind": "constant", "warmup": 2}, "optimizer": {"lr": 5e-3}, "validation": {"every": 0, "decoding": {"max_length": 20}},
                       "model": {"model_type": "mbart", "d_model": 16, "heads": 2, "ffn": 32, "encoder_layers": 1, "decoder_layers": 1, "max_positions": 64, "activation": "gelu",
                                 "positions": "learned", "embedding_norm": true, "logits_bias": true, "share_embeddings": true}})");
  const Result trained = alinea_program(f, "train -q --config " + (f / "mbart.json") + " --data " + data + " --out " + run);
  INFO(trained.err);
  REQUIRE(trained.code == 0);
  const fs::path model = fs::canonical(fs::path(run) / "best");
  for (const char* file : {"config.json", "generation_config.json", "model.safetensors", "sentencepiece.bpe.model", "tokenizer_config.json"}) CHECK(fs::exists(model / file));
  const Json settings = Json::parse(read_file(model / "generation_config.json"));
  CHECK(settings["decoder_start_token_id"] == 34 + 1 + 2);  // de_DE, the third language behind 34 pieces and fairseq's offset
  CHECK(settings["eos_token_id"] == 2);
  const Result one = alinea_program(f, "translate " + run + " 'the red dog sees a cat'"), lines = alinea_program(f, "translate " + run + " - --tgt de_DE", "the red dog sees a cat\n");
  CHECK(one.code == 0);
  CHECK(one.out == lines.out);
  CHECK(alinea_program(f, "translate " + run + " --tgt xx_XX 'a b'").code == 2);
  CHECK(alinea_program(f, "eval " + run + " --json").code == 0);
  const Result further = alinea_program(f, "train -q --config " + (f / "mbart.json") + " --set steps=3 --data " + data + " --init-from " + model.string() + " --out " + (f / "further"));
  INFO(further.err);
  CHECK(further.code == 0);
}

TEST_CASE("text: options of speech, missing files and bad values have their exit codes and say what to do") {
  Folder f;
  make_corpus(f.path, false);
  Config config = tiny(f.path / "data", 2);
  CHECK_THROWS_WITH_AS(run_training(Context::cpu(), config, f.path / "x", {}, true),
                       "train: model.share_embeddings needs one vocabulary for both languages; prepare the data with --joint", Error);
  config.set("model.share_embeddings", "false");
  REQUIRE(run_training(Context::cpu(), config, f.path / "run", {}, true) == 0);
  const std::string run = (f.path / "run").string();
  for (const std::string& arguments : {"eval " + run + " --policy emma", "eval " + run + " --threshold 0.5",
                                       "translate " + run + " --stream -", "translate " + run + " --trace -"}) {
    const Result r = alinea_program(f, arguments);
    CAPTURE(arguments);
    CHECK(r.code == 2);
    CHECK(contains(r.err, "is for speech models"));
  }
  CHECK(alinea_program(f, "translate " + run + " absent.txt").code == 3);
  CHECK(alinea_program(f, "eval " + run + " --beam 0").code == 2);
  CHECK(alinea_program(f, "eval " + run + " --dtype fp64").code == 2);
  CHECK(alinea_program(f, "data prepare text --source a.txt --out b").code == 2);
  const Result uneven = alinea_program(f,
                                "data prepare text --source " + (f.path / "en.txt").string() + " --target " + (f.path / "stdin").string() +
                                    " --out " + (f.path / "no").string(),
                                "one\n");
  CHECK(uneven.code == 3);
  CHECK(contains(uneven.err, "has 72 lines"));
  Config wrong = tiny(f.path / "data", 2);
  wrong.set("model.model_type", "alinea_speech");
  CHECK_THROWS_WITH_AS(run_training(Context::cpu(), wrong, f.path / "y", {}, true),
                       "train: model.model_type 'alinea_speech' is not alinea_s2t, speech-encoder-decoder, speech_to_text (speech translation), alinea_text, mbart (text) or wav2vec2", Error);
}

TEST_CASE("experiment: cells are trained and scored once, an interrupted one continues, changed settings are refused") {
  Folder f;
  make_corpus(f.path);
  write_atomically(f.path / "base.json", tiny(f.path / "data", 6).dump());
  const auto write_experiment = [&](const std::string& cells) {
    write_atomically(f.path / "e.json", R"({"base": "base.json", "decoding": {"max_new_tokens": 10}, "cells": [)" + cells + "]}");
  };
  const std::string softmax = R"({"name": "softmax"})",
                    linear = R"({"name": "linear", "set": {"model.attention.encoder_self": "linear", "seed": 4}})";
  write_experiment(softmax);
  const fs::path out = f.path / "out";
  REQUIRE(run_experiment(Context::cpu(), ExperimentFile::load(f.path / "e.json"), out, true) == 0);
  const std::string first = read_file(out / "cells" / "softmax.result.json");
  const auto written = fs::last_write_time(out / "cells" / "softmax" / "last" / "model.safetensors");

  // The second cell has been begun elsewhere: half a run, no result.
  write_experiment(softmax + ", " + linear);
  Config half = Config::file(f.path / "base.json");
  half.set("model.attention.encoder_self", "linear"), half.set("seed", "4"), half.set("steps", "3");
  REQUIRE(run_training(Context::cpu(), half, out / "cells" / "linear", {}, true) == 0);
  std::string config = read_file(out / "cells" / "linear" / "config.json");
  config.replace(config.find("\"steps\": 3"), 10, "\"steps\": 6");
  write_atomically(out / "cells" / "linear" / "config.json", config);
  Config settings = Config::file(f.path / "base.json");
  settings.set("model.attention.encoder_self", "\"linear\""), settings.set("seed", "4");
  write_atomically(out / "cells" / "linear.settings.json", Json{{"config", Json::parse(settings.dump())}, {"init", ""}}.dump());
  REQUIRE(run_experiment(Context::cpu(), ExperimentFile::load(f.path / "e.json"), out, true) == 0);

  CHECK(read_file(out / "cells" / "softmax.result.json") == first);
  CHECK(fs::last_write_time(out / "cells" / "softmax" / "last" / "model.safetensors") == written);
  CHECK(RunDirectory::last(out / "cells" / "linear")->step == 6);
  const Json results = Json::parse(read_file(out / "results.json"));
  REQUIRE(results.size() == 2);
  for (const char* key : {"bleu", "dev_loss", "test_loss", "tokens_per_second", "peak_mb", "parameters"})
    CHECK(results[1]["values"].contains(key));
  CHECK(results[0]["values"]["test_loss"] != results[1]["values"]["test_loss"]);
  const std::string table = read_file(out / "results.md");
  CHECK(contains(table, "| cell | BLEU | dev loss | test loss | tokens/s | peak MB | parameters |"));
  CHECK(contains(table, "| linear |"));
  CHECK(contains(read_file(out / "report.html"), "validation BLEU"));

  write_experiment(softmax + R"(, {"name": "linear", "set": {"seed": 5}})");
  CHECK_THROWS_AS(run_experiment(Context::cpu(), ExperimentFile::load(f.path / "e.json"), out, true), Error);
}

TEST_CASE("experiment: mistakes in the file are found before anything is trained") {
  Folder f;
  make_corpus(f.path);
  write_atomically(f.path / "base.json", tiny(f.path / "data", 2).dump());
  const auto refused = [&](const std::string& text, const std::string& words) {
    write_atomically(f.path / "e.json", text);
    const Result r = alinea_program(f, "experiment " + (f.path / "e.json").string() + " --out " + (f.path / "out").string());
    CAPTURE(r.err);
    CHECK(r.code == 2);
    CHECK(contains(r.err, words));
    CHECK(!fs::exists(f.path / "out" / "cells" / "a"));
  };
  refused(R"({"base": "base.json"})", "\"cells\"");
  refused(R"({"base": "base.json", "cells": [{"name": "a"}, {"name": "a"}]})", "occurs twice");
  refused(R"({"base": "base.json", "cells": [{"name": "a/b"}]})", "name of a folder");
  refused(R"({"base": "base.json", "cells": [{"name": "a", "sett": {}}]})", "'sett'");
  refused(R"({"base": "base.json", "cells": [{"name": "a"}, {"name": "b", "set": {"model.d_modle": 8}}]})", "d_model");
  refused(R"({"base": "base.json", "cells": [{"name": "a"}, {"name": "b", "set": {"model.attention.decoder_cross": "sofmax"}}]})",
          "sofmax");
}
