#include "data/dataset.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <fstream>
#include <numeric>
#include <set>

#include "data/audio.h"
#include "tests/data/temporary.h"
#include "tests/golden.h"

using namespace alinea;

namespace {

Audio tone(int64_t n) {
  Audio audio{std::vector<float>(n), 16000};
  for (int64_t i = 0; i < n; ++i) audio.samples[i] = 0.2f * float(std::sin(0.1 * double(i)));
  return audio;
}

/// Three utterances without stored features and without source words.
void make_corpus(const TemporaryFolder& folder) {
  std::vector<ManifestRow> rows;
  for (int i = 0; i < 3; ++i) {
    const int64_t samples = 16000 * (i + 1);
    const std::string id(1, char('a' + i));
    ManifestRow row{id, id + ".wav", log_mel_frames(samples), "eins zwei"};
    write_wav(folder / row.audio, tone(samples));
    rows.push_back(row);
  }
  write_manifest(folder / "train.tsv", rows);
  Vocabulary::target({"eins", "zwei"}).save(folder / "vocab.tgt.txt");
}

std::vector<int64_t> some_lengths(int64_t count) {
  std::vector<int64_t> lengths;
  Draw random(RandomKey{9});
  for (int64_t i = 0; i < count; ++i) lengths.push_back(random.integer(50, 900));
  return lengths;
}

}  // namespace

TEST_CASE("a fixed plan drops only the short last batch, groups like lengths, and repeats with its key") {
  const auto lengths = some_lengths(1000);
  const Plan plan = plan_fixed(lengths, 16, RandomKey{1}), again = plan_fixed(lengths, 16, RandomKey{1});
  CHECK(plan == again);
  CHECK(plan != plan_fixed(lengths, 16, RandomKey{2}));
  CHECK(plan.size() == 62);
  std::set<int64_t> seen;
  double padded = 0, real = 0;
  for (const auto& batch : plan) {
    REQUIRE(batch.size() == 16);
    int64_t longest = 0;
    for (const int64_t i : batch) {
      REQUIRE(seen.insert(i).second);
      longest = std::max(longest, lengths[i]), real += double(lengths[i]);
    }
    padded += double(longest) * 16;
  }
  CHECK(padded / real < 1.15);
  CHECK(data_error([] { plan_fixed(some_lengths(3), 4, RandomKey{1}); }).find("fewer than one batch") != std::string::npos);
}

TEST_CASE("a budget plan holds every example once and keeps to the budget") {
  const auto lengths = some_lengths(777);
  const Plan plan = plan_batches(lengths, 4000, RandomKey{3});
  std::set<int64_t> seen;
  for (const auto& batch : plan) {
    int64_t longest = 0;
    for (const int64_t i : batch) {
      REQUIRE(seen.insert(i).second);
      longest = std::max(longest, lengths[i]);
    }
    REQUIRE(longest * int64_t(batch.size()) <= 4000);
  }
  CHECK(seen.size() == 777);
  CHECK(data_error([&] { plan_batches(lengths, 100, RandomKey{3}); }).find("raise the budget") != std::string::npos);
  CHECK(plan_in_order(5, 2) == Plan{{0, 1}, {2, 3}, {4}});
}

TEST_CASE("state labels: second half of a word up to the state in which it ends") {
  Example example;
  example.words = {7, 9};
  example.word_spans = {{0.10f, 0.50f}, {0.70f, 1.00f}};
  // states of 80 ms: word 7 begins in state 1, its middle is in state 3, its end in state 6; word 9: 8, 10, 12.
  CHECK(state_labels(example, 14, 80) == std::vector<int32_t>{0, -1, -1, 7, 7, 7, 7, 0, -1, -1, 9, 9, 9, 0});
  CHECK(state_labels(example, 5, 80) == std::vector<int32_t>{0, -1, -1, 7, 7});
}

TEST_CASE("a dataset without stored features computes them; batches are padded to a multiple") {
  const TemporaryFolder folder;
  make_corpus(folder);
  const auto data = SpeechDataset::open(folder / ".", "train");
  CHECK(data.size() == 3);
  CHECK(data.lengths() == std::vector<int64_t>{98, 198, 298});
  const std::vector<int64_t> two = {0, 1};
  const HostBatch batch = load_batch(data, two);
  CHECK(batch.B == 2);
  CHECK(batch.F == 224);
  CHECK(batch.frames == std::vector<int32_t>{98, 198});
  CHECK(batch.targets[0] == std::vector<int32_t>{2, 3});
  CHECK(batch.states == 28);
  CHECK(batch.state_labels[12] == 0);
  CHECK(batch.state_labels[13] == -1);  // ⌈98 / 8⌉ = 13 states
  CHECK(batch.features[98 * 80 - 1] != -1.0f);
  CHECK(batch.features[98 * 80] == -1.0f);
  CHECK(std::abs(batch.examples[1].source_ms - 2000) < 1e-6);
  CHECK(batch.features[97 * 80] == data.load(0).features[97 * 80]);
}

TEST_CASE("augmentation is a pure function of its key") {
  const TemporaryFolder folder;
  make_corpus(folder);
  const auto data = SpeechDataset::open(folder / ".", "train", {.speed_low = 0.9, .speed_high = 1.1, .gain_decibels = 6, .spec_augment = SpecAugment::ld()});
  const Example a = data.load(1, RandomKey{4}), b = data.load(1, RandomKey{4}), c = data.load(1, RandomKey{5}), plain = data.load(1);
  CHECK(a.features == b.features);
  CHECK(a.features != c.features);
  CHECK(plain.frames == 198);
  CHECK(a.frames != plain.frames);
  CHECK(a.frames >= 198 / 1.11);
  CHECK(a.frames <= 198 / 0.89);
}

TEST_CASE("SpecAugment masks whole rows and columns within its bounds") {
  std::vector<float> x(300 * 80, 1.0f);
  SpecAugment::ld().apply(x, 80, RandomKey{8});
  int64_t rows = 0, columns = 0;
  for (int64_t t = 0; t < 300; ++t) {
    bool all = true;
    for (int64_t b = 0; b < 80; ++b) all = all && x[t * 80 + b] == 0;
    rows += all;
  }
  for (int64_t b = 0; b < 80; ++b) {
    bool all = true;
    for (int64_t t = 0; t < 300; ++t) all = all && x[t * 80 + b] == 0;
    columns += all;
  }
  CHECK(rows + columns > 0);
  CHECK(rows <= 198);
  CHECK(columns <= 52);
  std::vector<float> two(2 * 80, 1.0f);
  SpecAugment::sm().apply(two, 80, RandomKey{8});  // too short for a time mask: must not write outside
}

TEST_CASE("utterance CMVN equals Kaldi's") {
  std::ifstream in(golden("fbank/tone.fbank80.f32"), std::ios::binary), out(golden("fbank/tone.cmvn.f32"), std::ios::binary);
  std::vector<float> x(23 * 80), expected(23 * 80);
  REQUIRE(in.read(reinterpret_cast<char*>(x.data()), int64_t(x.size() * 4)));
  REQUIRE(out.read(reinterpret_cast<char*>(expected.data()), int64_t(expected.size() * 4)));
  normalize_utterance(x, 80);
  for (size_t i = 0; i < x.size(); ++i) REQUIRE(std::abs(x[i] - expected[i]) < 1e-4f);
}

TEST_CASE("the prefetcher keeps the order, works ahead by no more than asked, and carries exceptions") {
  std::atomic<int64_t> made = 0;
  Prefetcher<int64_t> loader(100, [&](int64_t i) { return ++made, i * i; }, 3);
  for (int64_t i = 0; i < 100; ++i) {
    const auto item = loader.next();
    REQUIRE(item.has_value());
    REQUIRE(*item == i * i);
    REQUIRE(made <= i + 1 + 3 + 1);
  }
  CHECK_FALSE(loader.next().has_value());
  Prefetcher<int64_t> failing(10, [](int64_t i) {
    require_data(i < 2, "item {} is broken", i);
    return i;
  });
  CHECK(failing.next() == 0);
  CHECK(failing.next() == 1);
  CHECK(data_error([&] { failing.next(); }) == "item 2 is broken");
  Prefetcher<int64_t> abandoned(1000000, [](int64_t i) { return i; });  // destruction must not wait for a million items
}

TEST_CASE("manifests and vocabularies: bad ones are refused with their line") {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& text) {
    std::ofstream(folder / "m.tsv") << text;
    return data_error([&] { read_manifest(folder / "m.tsv"); });
  };
  CHECK(message("").find("empty") != std::string::npos);
  CHECK(message("id\taudio\n").find("no column 'n_frames'") != std::string::npos);
  CHECK(message("id\taudio\tn_frames\ttgt_text\n").find("no rows") != std::string::npos);
  CHECK(message("id\taudio\tn_frames\ttgt_text\na\tb\t3\n").find("line 2: 3 fields") != std::string::npos);
  CHECK(message("id\taudio\tn_frames\ttgt_text\na\tb\tx\tc\n").find("'x' is not a number") != std::string::npos);
  CHECK(message("id\taudio\tn_frames\ttgt_text\na\tb\t1\tc\na\tb\t1\tc\n").find("line 3: the id 'a' occurs twice") != std::string::npos);
  CHECK(data_error([&] { read_manifest(folder / "none.tsv"); }).find("cannot be opened") != std::string::npos);
  ManifestRow row{"a", "a.wav", 12, "eins zwei", "s", "one two", "en", "de", "kind", {"1", "2"}, {"n12", "n5"}, {{0.1f, 0.2f}, {0.3f, 0.5f}}};
  write_manifest(folder / "m.tsv", {row});
  const ManifestRow back = read_manifest(folder / "m.tsv").at(0);
  CHECK(back.words == row.words);
  CHECK(back.keys == row.keys);
  CHECK(back.word_spans == row.word_spans);
  CHECK(back.tgt_text == row.tgt_text);

  const auto words = Vocabulary::target({"zwei", "eins"});
  CHECK(words.encode_text("eins zwei eins", "u") == std::vector<int32_t>{2, 3, 2});
  CHECK(words.decode(std::vector<int32_t>{1, 2, 3, 1, 0}) == "eins zwei");
  words.save(folder / "v.txt");
  CHECK(Vocabulary::load(folder / "v.txt").size() == 4);
  CHECK(data_error([&] { words.encode_text("drei", "row 7"); }).find("row 7: 'drei'") != std::string::npos);
  std::ofstream(folder / "v.txt") << "a\nb\na\n";
  CHECK(data_error([&] { Vocabulary::load(folder / "v.txt"); }).find("twice") != std::string::npos);
}
