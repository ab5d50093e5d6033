// alinea analyze on files, on a text model and on a speech model with policies: what is captured, what is printed, what is refused.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/attention_scores.h"
#include "apps/batch.h"
#include "apps/task.h"
#include "data/audio.h"
#include "data/recipes/text.h"
#include "engine/core/files.h"
#include "models/hub/model_directory.h"
#include "tests/apps/program.h"

using namespace alinea;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

Result analyze(const Folder& f, const std::string& arguments) { return alinea_program(f, "analyze " + arguments); }

// Rows that sum to 1: a band of half width 1 and column 4 above a floor.
std::vector<double> banded(int64_t n) {
  std::vector<double> a;
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < n; ++j) a.push_back(std::abs(i - j) <= 1 ? 1 : j == 4 ? 0.5 : 0.001 * double(1 + (i * 3 + j) % 5)), sum += a.back();
    for (int64_t j = 0; j < n; ++j) a[size_t(i * n + j)] /= sum;
  }
  return a;
}

void write_scores(const std::string& file, const std::vector<double>& values, const Shape& shape) { write_safetensors(file, {{"scores", Context::cpu().from(values.data(), shape)}}); }

Config text_config(const fs::path& data, const std::string& more = "{}") {
  Config c = Config::text(R"({"model": {"model_type": "alinea_text", "d_model": 16, "heads": 2, "ffn": 32, "encoder_layers": 2, "decoder_layers": 1, "max_positions": 64}})", "tiny");
  c.set("data", data.string());
  c.set("model.attention", more);
  return c;
}

// A model that has seen nothing is as good as any for looking at its weights.
fs::path text_model(const Folder& f, const std::string& attention = "{}") {
  std::string en, de;
  const std::vector<std::string> nouns{"dog", "cat", "house", "tree"}, colours{"red", "blue", "green"};
  for (size_t i = 0; i < 96; ++i) {
    const std::string n = nouns[i % 4], c = colours[i % 3], other = nouns[i / 12 % 4], end = i < 48 ? "\n" : " now\n";
    en += "the " + c + " " + n + " sees a " + other + end, de += "das " + n + " " + c + " sieht ein " + other + end;
  }
  write_atomically(f.path / "en.txt", en), write_atomically(f.path / "de.txt", de);
  TextOptions o;
  o.source = f.path / "en.txt", o.target = f.path / "de.txt", o.joint = true, o.out = f.path / "data";
  o.subwords.vocabulary = 50;
  if (!fs::exists(f.path / "data")) prepare_text(o);
  const fs::path model = f.path / "model";
  fs::create_directories(model);
  make_task(Context::cpu(), text_config(f.path / "data", attention), {})->save(model);
  return model;
}

// Two tones each, and an untrained model with policies.
fs::path speech_model(const Folder& f) {
  const fs::path data = f.path / "speech", model = f.path / "emma";
  fs::create_directories(data), fs::create_directories(model);
  Vocabulary::target({"eins", "zwei"}).save(data / "vocab.tgt.txt");
  Vocabulary::source({"low", "high"}).save(data / "vocab.src.txt");
  for (const std::string split : {"train", "dev", "test"}) {
    std::vector<ManifestRow> rows;
    for (int i = 0; i < 3; ++i) {
      Audio audio;
      for (int s = 0; s < 9600 + 1600 * i; ++s) audio.samples.push_back(0.3f * float(std::sin(0.1 * double(1 + i) * s)));
      const std::string id = split + std::to_string(i);
      write_wav(data / (id + ".wav"), audio);
      rows.push_back({.id = id, .audio = id + ".wav", .n_frames = log_mel_frames(int64_t(audio.samples.size())), .tgt_text = i % 2 ? "eins zwei" : "zwei zwei eins", .src_text = "low high", .words = {}, .keys = {}, .word_spans = {}});
    }
    write_manifest(data / (split + ".tsv"), rows);
  }
  S2TConfig c;
  c.d_model = 16, c.heads = 2, c.ffn = 32, c.encoder_layers = c.decoder_layers = 1, c.max_positions = 64, c.source_words = 3, c.target_words = 4, c.policy.depth = 1;
  S2TTransformer emma(Context::cpu(), c, RandomKey{3});
  emma.add_policies(c.policy, RandomKey{4});
  emma.use_cross_attention("monotonic");
  save_model(model, emma);
  fs::copy(data / "vocab.tgt.txt", model / "vocab.tgt.txt");
  return model;
}

}  // namespace

TEST_CASE("analyze: a file of scores as tables, as JSON and as a page") {
  const Folder f;
  write_scores(f / "a.safetensors", banded(12), {12, 12});
  const Result table = analyze(f, f / "a.safetensors --band 1 --columns 1 --residual 0,1");
  CAPTURE(table.err);
  REQUIRE(table.code == 0);
  for (const char* word : {"relative l1", "retained mass", "rel. Frobenius", "err1/n²", "top nnz", "random", "uniform", "block gain", "columns   4\n"}) CHECK(contains(table.out, word));
  CHECK_FALSE(contains(table.out, "sum to 1"));

  const Result r = analyze(f, f / "a.safetensors --band 1 --columns 1 --residual 2,0.002 --json -o " + f / "page.html");
  REQUIRE(r.code == 0);
  const Json head = Json::parse(r.out)["heads"][0], one = head["sentences"][0], mean = head["mean"];
  CHECK(one["nnz"] == 3 * 12 - 2 + 9 + 2);                   // the band, nine cells of the column outside it, two entries
  CHECK(one["pattern_columns"][0]["column"] == 4);
  CHECK(one["residual"].size() == 2);
  for (const auto& e : one["residual"]) CHECK(e[2].get<double>() <= 0.002);
  CHECK(one["l1_per_cell"].get<double>() == doctest::Approx(one["l1"].get<double>() / 144));
  CHECK(one["relative_l1"].get<double>() == doctest::Approx(one["l1"].get<double>() / 12));
  CHECK(one["renormalised_l1"].get<double>() == doctest::Approx(2 * (1 - one["retained_mass"].get<double>())));
  CHECK(one["zero_relative_l1"] == 1);
  CHECK(head["rows_sum_to_one"] == true);
  CHECK(head["spread"]["l1"].is_null());
  CHECK(head["role"]["rare_share"].is_null());
  CHECK(mean["relative_l1"] == one["relative_l1"]);
  const auto curve = head["band_curve"]["relative_l1"].get<std::vector<double>>();
  CHECK(curve.size() == 12);
  CHECK(std::is_sorted(curve.rbegin(), curve.rend()));
  CHECK(curve.back() == 0);
  CHECK(curve[1] == doctest::Approx(mean["band_relative_l1"].get<double>()));

  const std::string page = read_file(f / "page.html");
  CHECK(page.starts_with("<!DOCTYPE html>"));
  CHECK(contains(page, "\"pattern_columns\":[4]"));
  CHECK(contains(page, "relative Frobenius"));
  CHECK_FALSE(contains(page, "src=\"http"));
}

TEST_CASE("analyze: W is chosen by the mass it keeps, or by half of the cells") {
  const Folder f;
  write_scores(f / "a.safetensors", banded(30), {30, 30});
  const auto band = [&](const std::string& options) { return Json::parse(analyze(f, f / "a.safetensors --json " + options).out)["heads"][0]["band"]; };
  const Json chosen = band("--mass 0.8"), all = band("--mass 0.99999"), given = band("--band 5");
  CHECK(chosen["w"] == 1);
  CHECK(chosen["chosen_by"] == "retained mass");
  CHECK(chosen["retained_mass"].get<double>() >= 0.8);
  CHECK(all["chosen_by"] == "half of the cells");
  CHECK(all["share_of_cells"].get<double>() <= 0.5);
  CHECK(given["w"] == 5);
  CHECK(given["chosen_by"] == "--band");
}

TEST_CASE("analyze: batches, heads and lengths of a file") {
  const Folder f;
  std::vector<double> all;
  for (int i = 0; i < 4; ++i)
    for (const double x : banded(10)) all.push_back(x);
  const std::vector<int64_t> lengths{10, 6};
  write_safetensors(f / "b.safetensors", {{"scores", Context::cpu().from(all.data(), {2, 2, 10, 10})}, {"lengths", Context::cpu().from(lengths.data(), {2})}});
  const Json j = Json::parse(analyze(f, f / "b.safetensors --json").out);
  REQUIRE(j["heads"].size() == 2);
  CHECK(j["heads"][1]["name"] == "scores, head 2");
  CHECK(j["heads"][0]["sentences"][0]["rows"] == 10);
  CHECK(j["heads"][0]["sentences"][1]["columns"] == 6);
  CHECK(j["heads"][0]["rows_sum_to_one"] == false);          // the columns that were cut off held something
  CHECK(j["heads"][0]["spread"]["relative_l1"].get<double>() > 0);
  CHECK(contains(analyze(f, f / "b.safetensors").out, "do not all sum to 1"));
  CHECK(Json::parse(analyze(f, f / "b.safetensors --json --head 2").out)["heads"].size() == 1);

  write_scores(f / "wide.safetensors", std::vector<double>(60, 0.1), {6, 10});
  CHECK(contains(analyze(f, f / "wide.safetensors").out, "not square"));
  CHECK(Json::parse(analyze(f, f / "wide.safetensors --stretch --json").out)["diagonal"] == "stretched");
}

TEST_CASE("analyze: what does not fit has its exit code and says what and where") {
  const Folder f;
  const std::vector<double> good = banded(8);
  write_scores(f / "a.safetensors", good, {8, 8});
  write_scores(f / "wide.safetensors", std::vector<double>(6, 0.5), {2, 3});
  const auto refused = [&](const std::string& arguments, int code, const std::string& words) {
    const Result r = analyze(f, arguments);
    CAPTURE(arguments);
    CAPTURE(r.err);
    CHECK(r.code == code);
    CHECK(contains(r.err, words));
    CHECK(r.out.empty());
  };
  const std::string a = f / "a.safetensors ";
  refused(a + "--band 8", 2, "--band 8 is not in 0 … 7");
  refused(a + "--band -2", 2, "--band -2");
  refused(a + "--columns 9", 2, "--columns 9 is not in 0 … 8");
  refused(a + "--blocks 9", 2, "--blocks 9");
  refused(f / "wide.safetensors --blocks 2", 2, "square");
  refused(a + "--residual 3,0", 2, "--residual '3,0'");
  refused(a + "--residual many", 2, "--residual 'many'");
  refused(a + "--residual 3,0.1x", 2, "0.1x");
  refused(a + "--mass 1.5", 2, "mass");
  refused(a + "--tensor nothing", 2, "it has scores");
  refused(a + "--head 2", 2, "there is no head 2");
  refused(a + "--split dev", 2, "--split is for runs");
  refused(f / "missing.safetensors", 3, "no such run or file");
  refused("", 2, "subject");
  const auto spoilt = [&](double value, const std::string& words) {
    std::vector<double> bad = good;
    bad[10] = value;
    write_scores(f / "bad.safetensors", bad, {8, 8});
    refused(f / "bad.safetensors", 3, words);
  };
  spoilt(NAN, "tensor 'scores': the score at row 1, column 2 is nan");
  spoilt(-0.25, "row 1, column 2 is -0.25");
  write_scores(f / "bad.safetensors", std::vector<double>(4, 0.0), {2, 2});
  refused(f / "bad.safetensors", 3, "nothing to analyse");
  write_scores(f / "bad.safetensors", {}, {0, 4});
  refused(f / "bad.safetensors", 3, "empty");
  write_scores(f / "bad.safetensors", {1, 2}, {2});
  refused(f / "bad.safetensors", 3, "[H, T, S]");
  const std::vector<int64_t> lengths{9};
  write_safetensors(f / "bad.safetensors", {{"scores", Context::cpu().from(good.data(), {8, 8})}, {"lengths", Context::cpu().from(lengths.data(), {1})}});
  refused(f / "bad.safetensors", 3, "a length is 9");
  write_safetensors(f / "bad.safetensors", {{"lengths", Context::cpu().from(lengths.data(), {1})}});
  refused(f / "bad.safetensors", 3, "no tensor of floating point numbers");
}

TEST_CASE("analyze: every block of a text model, sentence by sentence") {
  const Folder f;
  const fs::path model = text_model(f);
  const TextDataset data = TextDataset::open(f.path / "data", "test");
  RunScores which{.run = model.string(), .data = (f.path / "data").string(), .limit = 3};
  for (const std::string block : {"encoder_self", "decoder_self", "decoder_cross"}) {
    CAPTURE(block);
    which.block = block;
    const ScoreSet set = run_scores(Context::cpu(), which);
    CHECK(set.heads.size() == (block == "encoder_self" ? 4 : 2));
    for (const HeadScores& head : set.heads) {
      REQUIRE(head.scores.size() == 3);
      for (int64_t i = 0; i < 3; ++i) {
        const Scores& s = head.scores[size_t(i)];
        const SentencePositions& p = *head.positions[size_t(i)];
        const int64_t source = int64_t(data.source(i).size()), target = int64_t(data.labels(i).size());
        CHECK(s.rows == (block == "encoder_self" ? source : target));
        CHECK(s.columns == (block == "decoder_self" ? target : source));
        CHECK(int64_t(p.rows.size()) == s.rows);
        CHECK(int64_t(p.columns.size()) == s.columns);
        CHECK(p.rarity.size() == (block == "decoder_self" ? 0 : size_t(source)));
        for (int64_t r = 0; r < s.rows; ++r) {
          double sum = 0;
          for (int64_t c = 0; c < s.columns; ++c) sum += s.at(r, c);
          CHECK(sum == doctest::Approx(1).epsilon(1e-5));
          CHECK(s.visible[size_t(r)] == (block == "decoder_self" ? r + 1 : s.columns));
        }
      }
    }
  }
  // A sentence given by itself is the same sentence.
  which.block = "encoder_self", which.layer = 2, which.head = 1;
  const ScoreSet set = run_scores(Context::cpu(), which);
  which.data.clear(), which.source = data.row(1).src_text;
  const ScoreSet alone = run_scores(Context::cpu(), which);
  REQUIRE(alone.heads.size() == 1);
  CHECK(alone.heads[0].name == "layer 2, head 1");
  CHECK(alone.heads[0].scores[0].values == set.heads[0].scores[1].values);
  CHECK(alone.heads[0].positions[0]->columns == set.heads[0].positions[1]->columns);
  CHECK(alone.heads[0].positions[0]->rarity.back() == -INFINITY);   // the end is no rare word
}

TEST_CASE("analyze: a run from the command line; layers, heads and options that are not there") {
  const Folder f;
  const std::string model = text_model(f).string(), data = f / "data";
  const Result r = analyze(f, model + " --data " + data + " --split dev --limit 4 --layer 1 --json");
  CAPTURE(r.err);
  REQUIRE(r.code == 0);
  const Json j = Json::parse(r.out);
  CHECK(j["block"] == "encoder_self");
  CHECK(j["heads"].size() == 2);
  CHECK(j["heads"][0]["family"] == "softmax");
  CHECK(j["heads"][0]["sentences"].size() == 4);
  CHECK(j["heads"][0]["sentences"][0]["id"].get<std::string>().starts_with("dev"));
  CHECK(j["heads"][0]["role"]["rare_share"].is_number());
  CHECK(contains(analyze(f, model + " --source \"the red dog\" --band 0 --columns 0").out, "residual  ("));
  const auto refused = [&](const std::string& arguments, int code, const std::string& words) {
    const Result bad = analyze(f, model + " " + arguments);
    CAPTURE(bad.err);
    CHECK(bad.code == code);
    CHECK(contains(bad.err, words));
  };
  refused("", 2, "--data DIR");
  refused("--data " + data + " --layer 3", 2, "no layer 3");
  refused("--data " + data + " --head 3", 2, "no head 3");
  refused("--data " + data + " --block encoder", 2, "encoder_self");
  refused("--data " + data + " --tensor x", 2, "is for files");
  refused("--data " + data + " --source x", 2, "beside --source");
  refused("--data " + data + " --split nothing", 3, "nothing.tsv");
}

TEST_CASE("analyze: a family whose scores are no weights is refused by name; a pattern family is not") {
  const Folder f;
  const std::string data = " --data " + f / "data";
  const std::string structured = text_model(f, R"({"encoder_self": {"name": "structured", "window": 1, "columns": 1}})").string();
  const Json j = Json::parse(analyze(f, structured + data + " --json --band 1 --columns 1 --residual 0,1").out);
  CHECK(j["heads"][0]["family"] == "structured");
  CHECK(j["heads"][0]["mean"]["relative_l1"].get<double>() < 1e-6);   // what it is made of is found
  // Untrained residuals are 0; a trained one may be negative.
  const fs::path literal = text_model(f, R"({"encoder_self": {"name": "literal", "window": 1, "residual": 4, "span": 3}})");
  SafetensorsFile file(literal / "model.safetensors");
  NamedTensors tensors = file.load_all(Context::cpu());
  for (auto& [name, t] : tensors)
    if (name.ends_with("family.residual")) std::fill_n(t.data<float>(), t.count(), -3.0f);
  write_safetensors(literal / "model.safetensors", tensors, file.metadata());
  const Result r = analyze(f, literal.string() + data);
  CAPTURE(r.err);
  CHECK(r.code == 2);
  CHECK(contains(r.err, "'literal'"));
}

TEST_CASE("analyze: the cross attention of EMMA is its expected attention on the reference") {
  const Folder f;
  const fs::path model = speech_model(f);
  RunScores which{.run = model.string(), .data = (f.path / "speech").string(), .block = "decoder_cross"};
  const ScoreSet set = run_scores(Context::cpu(), which);
  REQUIRE(set.heads.size() == 2);
  REQUIRE(set.heads[0].scores.size() == 3);
  const auto emma = load_model(model, Context::cpu());
  const SpeechDataset data = SpeechDataset::open(f.path / "speech", "test");
  const int64_t step = emma->config().frames_per_state();
  for (int64_t i = 0; i < 3; ++i) {
    const Example e = data.load(i);
    const Scores& s = set.heads[1].scores[size_t(i)];
    CHECK(s.rows == int64_t(e.target.size()) + 1);
    CHECK(s.columns == (e.frames + step - 1) / step);
    CHECK(set.heads[1].positions[size_t(i)]->rows.back() == "</s>");
    const int64_t F = (e.frames + 2 * step - 1) / (2 * step) * 2 * step;
    std::vector<float> features = e.features;
    features.resize(size_t(F * e.bins), float(emma->config().feature_padding));
    const auto alpha = emma->alignments(Context::cpu().from(features.data(), {1, F, e.bins}), {int32_t(e.frames)}, e.target)[0].values<double>();
    const int64_t J = int64_t(alpha.size()) / s.rows;
    for (int64_t r = 0; r < s.rows; ++r) {                  // beta spreads what alpha holds
      double spread = 0, held = 0;
      for (int64_t c = 0; c < s.columns; ++c) spread += s.at(r, c);
      for (int64_t c = 0; c < J; ++c) held += alpha[size_t(r * J + c)];
      CHECK(spread == doctest::Approx(held).epsilon(1e-4));
    }
  }
  which.block = "encoder_self", which.data.clear(), which.source = data.audio_path(0).string();
  const ScoreSet alone = run_scores(Context::cpu(), which);
  CHECK(alone.heads[0].scores[0].visible[0] == 2);          // chunks of two states
  const Result r = analyze(f, model.string() + " --data " + f / "speech --block decoder_cross --stretch -o " + f / "page.html");
  CAPTURE(r.err);
  CHECK(r.code == 0);
  CHECK(contains(r.out, "from corner to corner"));
  CHECK(contains(read_file(f / "page.html"), "eins"));
}
