// The recipe "prompts" and raw waveforms: what is said of a printed sentence, splits, normalising, cropping.
#include "data/recipes/prompts.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <cmath>
#include <fstream>
#include <map>

#include "data/audio.h"
#include "data/check.h"
#include "data/wave_batches.h"
#include "engine/core/files.h"
#include "tests/data/temporary.h"

using namespace alinea;
namespace fs = std::filesystem;

namespace {

// 60 recordings of noise, of 0.1 s to 0.7 s, a tone, an empty file, and the printed sentences of most.
void make_recordings(const TemporaryFolder& folder) {
  const fs::path sounds = folder / "sounds/en_US_f_Allison", doc = folder / "doc/asterisk-core-sounds-en";
  fs::create_directories(sounds / "digits"), fs::create_directories(sounds / "silence"), fs::create_directories(doc);
  std::string text = "; comment\n\nbeep: [this is a tone]\ndigits/1: One.\nhash: Press # to go on.\n";
  const auto record = [&](const std::string& id, int64_t bytes) {
    std::ofstream file(sounds / (id + ".g722"), std::ios::binary);
    for (int64_t i = 0; i < bytes; ++i) file.put(char(i * 7 + bytes));
  };
  record("beep", 800), record("digits/1", 900), record("hash", 1000), record("silence/1", 800), record("empty", 0), record("untold", 800);
  for (int i = 0; i < 60; ++i) {
    const std::string id = "prompt-" + std::to_string(i);
    record(id, 800 + 80 * i);
    text += id + ": Folder " + std::to_string(i / 2) + ", please!\n";  // two recordings of each text
  }
  const gzFile file = gzopen((doc / "core-sounds-en.txt.gz").c_str(), "wb");
  gzwrite(file, text.data(), unsigned(text.size()));
  gzclose(file);
}

PromptsOptions options(const TemporaryFolder& folder, const std::string& out) {
  PromptsOptions o;
  o.languages = {"en"};
  o.dev = o.test = 0.1;
  o.sounds_dir = folder / "sounds", o.doc_dir = folder / "doc", o.out = folder / out;
  return o;
}

}  // namespace

TEST_CASE("transcripts: what is said, in letters") {
  const Transcriber upper("en", Transcriber::Letters::upper), lower("fr", Transcriber::Letters::lower);
  CHECK(upper.letters_of("Press 1, or 42 - please!").value() == "PRESS ONE OR FORTY TWO PLEASE");
  CHECK(upper.letters_of("  You\u2019re re-entering 'it'...").value() == "YOU'RE RE ENTERING IT");
  CHECK(upper.letters_of("at [@]").value() == "AT");
  CHECK(lower.letters_of("\u00c0 la tonalite\u0301, l'ann\u00e9e 9 \u00ab oui \u00bb").value() ==
        "\u00e0 la tonalit\u00e9 l'ann\u00e9e neuf oui");
  for (const char* uncertain :
       {"[tones]", "<beep>", "say it (twice)", "press #", "dial 500", "at 28.8 baud", "H.323", "IAX2", "yes/no", "...", "", "50%"})
    CHECK_FALSE(upper.letters_of(uncertain).has_value());
  CHECK(without_remarks("[tones] (low)").text.empty());
  CHECK(without_remarks("a (b) c").doubtful);
  CHECK_FALSE(without_remarks("dash [-]").doubtful);
}

TEST_CASE("prompts: recordings with their transcripts, split by text, a function of the seed") {
  const TemporaryFolder folder;
  make_recordings(folder);
  const PromptsSummary s = prepare_prompts(options(folder, "a"));
  CHECK(s.no_speech == 3);
  CHECK(s.uncertain == 1);
  REQUIRE(s.splits.size() == 3);
  CHECK(s.splits[0].recordings + s.splits[1].recordings + s.splits[2].recordings == 63);
  CHECK(s.splits[0].transcribed + s.splits[1].transcribed + s.splits[2].transcribed == 61);
  std::map<std::string, std::string> split_of_text;
  for (const char* split : {"train", "dev", "test"})
    for (const ManifestRow& row : read_manifest(folder / "a" + "/" + split + ".tsv")) {
      CHECK(read_audio(fs::path(folder / "a") / row.audio).samples.size() >= 1600);
      if (row.tgt_text.empty()) continue;
      CHECK(split_of_text.emplace(row.tgt_text, split).first->second == split);
    }
  CHECK(split_of_text.count("FOLDER TWENTY NINE PLEASE") == 1);
  prepare_prompts(options(folder, "b"));
  PromptsOptions other = options(folder, "c");
  other.seed = 2;
  prepare_prompts(other);
  CHECK(read_file(folder / "a/train.tsv") == read_file(folder / "b/train.tsv"));
  CHECK(read_file(folder / "a/train.tsv") != read_file(folder / "c/train.tsv"));
  PromptsOptions few = options(folder, "d");
  few.limit = 10, few.transcripts = {};
  const PromptsSummary t = prepare_prompts(few);
  CHECK(t.splits[0].recordings == 8);
  CHECK(t.splits[0].transcribed + t.splits[1].transcribed + t.splits[2].transcribed == 0);
  CHECK(check_data(folder / "d").ok());
}

TEST_CASE("prompts: the corpus passes its check, a letter outside the vocabulary and a shared text do not") {
  const TemporaryFolder folder;
  make_recordings(folder);
  prepare_prompts(options(folder, "a"));
  const DataReport fine = check_data(folder / "a");
  CHECK(fine.problems == std::vector<std::string>{});
  CHECK(fine.splits.size() == 3);
  auto rows = read_manifest(folder / "a/dev.tsv");
  for (const ManifestRow& row : read_manifest(folder / "a/train.tsv"))
    if (!row.tgt_text.empty()) rows[0].keys = row.keys;
  rows[0].tgt_text = "FOLDER \u00c9";
  write_manifest(folder / "a/dev.tsv", rows);
  const DataReport broken = check_data(folder / "a");
  REQUIRE(broken.problems.size() == 2);
  CHECK(broken.problems[0].find("lacks a letter of the target text 'FOLDER \u00c9'") != std::string::npos);
  CHECK(broken.problems[1].find("is in train too") != std::string::npos);
}

TEST_CASE("prompts: what is missing or impossible is told") {
  const TemporaryFolder folder;
  make_recordings(folder);
  PromptsOptions o = options(folder, "a");
  o.languages = {"fr"};
  CHECK(data_error([&] { prepare_prompts(o); }).find("asterisk-core-sounds-fr-g722") != std::string::npos);
  o.languages = {"de"};
  CHECK(error_of(Exit::usage, [&] { prepare_prompts(o); }).find("en, es, fr, it, ru") != std::string::npos);
  o = options(folder, "a");
  o.test = 0.95;
  CHECK(error_of(Exit::usage, [&] { prepare_prompts(o); }).find("0.95") != std::string::npos);
  o = options(folder, "sounds");
  CHECK(error_of(Exit::usage, [&] { prepare_prompts(o); }).find("exists already") != std::string::npos);
}

TEST_CASE("waves: normalised, cropped where the key says, padded with zeros") {
  const TemporaryFolder folder;
  make_recordings(folder);
  PromptsOptions o = options(folder, "a");
  o.dev = o.test = 0;
  prepare_prompts(o);
  const auto all = WaveDataset::open(folder / "a", "train", {});
  CHECK(all.size() == 63);
  const auto wave = all.load(3).values;
  double sum = 0, squares = 0;
  for (const float x : wave) sum += x, squares += double(x) * x;
  CHECK(std::abs(sum / double(wave.size())) < 1e-6);
  CHECK(squares / double(wave.size()) == doctest::Approx(1).epsilon(1e-4));

  const auto cropped = WaveDataset::open(folder / "a", "train", {.min_seconds = 0.3, .max_seconds = 0.5, .crop = true});
  const auto limited = WaveDataset::open(folder / "a", "train", {.min_seconds = 0.3, .max_seconds = 0.5});
  CHECK(limited.size() + 19 == cropped.size());  // recording i lasts 0.1 s + i / 100 s: 41 … 59 are too long
  CHECK(*std::max_element(cropped.lengths().begin(), cropped.lengths().end()) == 8000);
  const RandomKey key{5};
  const int64_t last = [&] {
    for (int64_t i = 0; i < cropped.size(); ++i)
      if (cropped.row(i).id == "en/prompt-59") return i;
    return int64_t(-1);
  }();
  REQUIRE(last >= 0);
  CHECK(cropped.load(last, key).values == cropped.load(last, key).values);
  CHECK(cropped.load(last, key).values != cropped.load(last, RandomKey{6}).values);
  const std::vector<int64_t> indices{0, last};
  const HostWaves batch = load_waves(cropped, indices, key);
  CHECK(batch.N == 8000);
  CHECK(batch.lengths[1] == 8000);
  CHECK(std::equal(batch.values.begin() + 8000, batch.values.end(), cropped.load(last, key.child(uint64_t(last))).values.begin()));
  for (int64_t i = batch.lengths[0]; i < 8000; ++i) REQUIRE(batch.values[size_t(i)] == 0);

  WaveSelection few{.transcribed = true, .utterances = 7, .key = RandomKey{1}};
  const auto a = WaveDataset::open(folder / "a", "train", few), b = WaveDataset::open(folder / "a", "train", few);
  CHECK(a.size() == 7);
  for (int64_t i = 0; i < 7; ++i) CHECK((a.row(i).id == b.row(i).id && !a.row(i).tgt_text.empty()));
  CHECK(data_error([&] { WaveDataset::open(folder / "a", "train", {.min_seconds = 5}); }).find("nothing is left") != std::string::npos);
}

TEST_CASE("waves: batches fit their budget, show every utterance once an epoch, and continue where a run stopped") {
  const TemporaryFolder folder;
  make_recordings(folder);
  PromptsOptions o = options(folder, "a");
  o.dev = o.test = 0;
  prepare_prompts(o);
  const auto data = WaveDataset::open(folder / "a", "train", {.max_seconds = 0.4, .crop = true});
  WaveBatches whole(data, 2.0, RandomKey{3});
  whole.start({});
  std::vector<HostWaves> batches;
  for (int64_t i = 0; i < 2 * whole.per_epoch(); ++i) batches.push_back(whole.next());
  std::map<int64_t, int> seen;
  for (const HostWaves& b : batches) {
    CHECK(b.B * b.N <= 32000);
    for (const int64_t i : b.indices) ++seen[i];
  }
  CHECK(int64_t(seen.size()) == data.size());
  for (const auto& [i, times] : seen) CHECK(times == 2);
  WaveBatches rest(data, 2.0, RandomKey{3});
  const int64_t first = whole.per_epoch() + 1;
  rest.start({first});
  CHECK(rest.next().values == batches[size_t(first)].values);
  CHECK(data_error([&] { WaveBatches(data, 0.2, RandomKey{3}); }).find("budget") != std::string::npos);
}
