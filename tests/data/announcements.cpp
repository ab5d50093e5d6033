#include "data/recipes/announcements.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <set>

#include "data/audio.h"
#include "data/check.h"
#include "data/dataset.h"
#include "data/features/half.h"
#include "data/recipes/announcement_template.h"
#include "data/recipes/say.h"
#include "tests/data/temporary.h"

using namespace alinea;
namespace fs = std::filesystem;

namespace {

/// Recordings that are tones, one pitch per word, for the words of the template and of numbers.
void make_sounds(const std::string& folder) {
  std::vector<std::string> names = AnnouncementTemplate::open("en", "de", "mix").fixed_recordings();
  for (int n = 0; n <= 20; ++n) names.push_back("digits/" + std::to_string(n)), names.push_back("digits/h-" + std::to_string(n));
  for (int n = 30; n <= 90; n += 10) names.push_back("digits/" + std::to_string(n));
  for (const char* name : {"digits/hundred", "digits/thousand", "digits/h-30"}) names.push_back(name);
  for (size_t w = 0; w < names.size(); ++w) {
    std::vector<float> x(1600 + 16 * w);
    for (size_t i = 0; i < x.size(); ++i) x[i] = 0.3f * float(std::sin(0.02 * double(w + 3) * double(i)));
    fs::create_directories(fs::path(folder + "/" + names[w]).parent_path());
    write_wav(folder + "/" + names[w] + ".wav", Audio{x, 16000});
  }
}

std::string file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

AnnouncementsOptions small(const TemporaryFolder& folder, const std::string& out) {
  AnnouncementsOptions options;
  options.train = 60, options.dev = 10, options.test = 20, options.out = folder / out, options.sounds_dir = folder / "sounds";
  return options;
}

}  // namespace

TEST_CASE("announcements: the split is strict, over all kinds") {
  const auto announcements = AnnouncementTemplate::open("en", "de", "mix");
  std::set<std::string> train, kinds;
  for (uint64_t i = 0; i < 6000; ++i)
    for (const auto& key : announcements.draw(Split::train, RandomKey{5}.child(i)).keys) train.insert(key);
  for (uint64_t i = 0; i < 600; ++i) {
    const Sentence test = announcements.draw(Split::test, RandomKey{6}.child(i));
    kinds.insert(test.kind);
    REQUIRE_FALSE(test.keys.empty());  // single words are for training alone
    for (const auto& key : test.keys) {
      REQUIRE(split_of(key) == Split::test);
      REQUIRE(train.count(key) == 0);
    }
  }
  CHECK(kinds.size() == 10);
}

TEST_CASE("announcements: a sentence says and writes the same thing") {
  const auto announcements = AnnouncementTemplate::open("en", "de", "mix");
  const SpellOut german("de");
  std::set<std::string> seen;
  for (uint64_t i = 0; i < 400; ++i) {
    const Sentence s = announcements.draw(Split::train, RandomKey{1}.child(i));
    seen.insert(s.kind);
    if (s.kind == "number" && !s.keys.empty()) {
      const int64_t n = std::stoll(s.keys[0].substr(1));
      CHECK(s.tokens == german.tokens(n));
      CHECK(s.recordings == *announcements.reading().read(n));
    } else if (s.kind == "clock") {
      const int64_t hour = std::stoll(s.keys[0].substr(1, 2)), minute = std::stoll(s.keys[0].substr(4, 2));
      CHECK(s.recordings.front() == "digits/at");
      CHECK(s.recordings.back() == (hour < 12 ? "digits/a-m" : "digits/p-m"));
      CHECK(s.recordings[1] == "digits/" + std::to_string(hour % 12 ? hour % 12 : 12));
      CHECK((s.tokens.back() == "Uhr") == (minute == 0));
      CHECK((std::count(s.recordings.begin(), s.recordings.end(), "digits/oh") == 1) == (minute > 0 && minute < 10));
    } else if (s.kind == "date") {
      CHECK(s.recordings[1] == "digits/mon-" + std::to_string(std::stoll(s.keys[0].substr(1)) - 1));
      CHECK(s.tokens[1] == "der");
    }
    REQUIRE_NOTHROW(announcements.reading().words(s.recordings));
  }
  CHECK(seen.size() == 10);
}

TEST_CASE("announcements: plain numbers work for every recorded language and any target") {
  for (const std::string& from : Reading::languages()) {
    for (const std::string to : {"de", "en", "es", "fr", "sv", "ja"}) {
      CAPTURE(from);
      CAPTURE(to);
      const auto numbers = AnnouncementTemplate::open(from, to, "numbers");
      for (uint64_t i = 0; i < 5; ++i) {
        const Sentence s = numbers.draw(Split::test, RandomKey{2}.child(i));
        REQUIRE(s.recordings.size() >= 2);
        CHECK(s.tokens == SpellOut(to).tokens(std::stoll(s.keys.at(0).substr(1))));
      }
    }
  }
  CHECK(error_of(Exit::usage, [] { AnnouncementTemplate::open("fr", "sv", "mix"); }).find("--kind numbers") != std::string::npos);
}

TEST_CASE("announcements: mistakes in a template are named") {
  const TemporaryFolder folder;
  const auto message = [&](const std::string& kind) {
    std::ofstream(folder / "t.json") << R"({"kinds": [)" << kind << "]}";
    return data_error([&] { AnnouncementTemplate::open("en", "de", "mix", folder / "t.json"); });
  };
  CHECK(message(R"({"name": "x", "values": {"n": {"number": {}}}, "say": "{m}", "write": "{n}"})").find("'{m}' names no value") != std::string::npos);
  CHECK(message(R"({"name": "x", "values": {"n": {"nummer": {}}}, "say": "{n}", "write": "{n}"})").find("TYPE number") != std::string::npos);
  CHECK(message(R"({"name": "x", "values": {"d": {"date": {}}}, "say": "{d.year}", "write": "a"})").find("weekday, month, day") != std::string::npos);
  CHECK(message(R"({"name": "x", "values": {"n": {"number": {}}}, "say": "{n|plural}", "write": "{n}"})").find("'plural'") != std::string::npos);
  CHECK(message(R"({"name": "x", "values": {}, "cases": [{"when": "n = 1", "say": "a", "write": "b"}]})").find("when") != std::string::npos);
  CHECK(message(R"({"name": "x", "values": {}, "say": "a"})").find("write") != std::string::npos);
  CHECK(message("{").find("docs/announcements.md") != std::string::npos);
}

TEST_CASE("announcements: spans of joined words lie where their sound is") {
  const TemporaryFolder folder;
  make_sounds(folder / "sounds");
  const Recordings recordings(folder / "sounds");
  const Utterance u = say(recordings, {"digits/3", "digits/hundred", "digits/20"}, RandomKey{3});
  REQUIRE(u.spans.size() == 3);
  const auto level = [&](double from, double to) {
    double sum = 0;
    const size_t a = size_t(from * 16000), b = size_t(to * 16000);
    for (size_t i = a; i < b; ++i) sum += u.samples[i] * u.samples[i];
    return sum / double(b - a);
  };
  CHECK(u.spans[0].first >= 0.05f);
  CHECK(u.spans[0].first <= 0.30f);
  const double before = level(0, u.spans[0].first);
  for (const auto& [begin, end] : u.spans) CHECK(level(begin + 0.01, end - 0.01) > 20 * before);
  CHECK(double(u.samples.size()) / 16000 - u.spans[2].second >= 0.1);
  CHECK(say(recordings, {"digits/3", "digits/hundred", "digits/20"}, RandomKey{3}).samples == u.samples);
  CHECK(data_error([&] { say(recordings, {"digits/none"}, RandomKey{3}); }).find("asterisk-core-sounds") != std::string::npos);
}

TEST_CASE("announcements: a prepared folder is whole, checked, and independent of the number of threads") {
  const TemporaryFolder folder;
  make_sounds(folder / "sounds");
  AnnouncementsOptions options = small(folder, "one");
  options.threads = 1;
  int64_t calls = 0;
  prepare_announcements(options, [&](int64_t done, int64_t total) {
    ++calls;
    CHECK(done <= total);
  });
  CHECK(calls == 3);
  options.out = folder / "three", options.threads = 3;
  prepare_announcements(options);
  for (const char* name : {"train.tsv", "test.tsv", "vocab.tgt.txt", "vocab.src.txt", "config.json", "features/train.f16", "features/dev.json", "audio/test/test-000007.wav"}) {
    CAPTURE(name);
    const std::string one = file(fs::path(folder / "one") / name);
    CHECK_FALSE(one.empty());
    CHECK(one == file(fs::path(folder / "three") / name));
  }
  CHECK_FALSE(fs::exists(folder / "one.part"));
  const DataReport report = check_data(folder / "one");
  CHECK(report.ok());
  REQUIRE(report.splits.size() == 3);
  CHECK(report.splits[0].utterances == 60);
  CHECK(report.splits[2].held_out_keys > 5);
  CHECK(error_of(Exit::usage, [&] { prepare_announcements(options); }).find("exists already") != std::string::npos);

  SUBCASE("stored features are those of the stored audio") {
    const auto data = SpeechDataset::open(folder / "one", "test");
    const Example example = data.load(3);
    auto fresh = LogMel()(read_audio(example.audio).samples);
    FeatureScale{}.apply(fresh);
    REQUIRE(fresh.size() == example.features.size());
    for (size_t i = 0; i < fresh.size(); ++i) REQUIRE(std::abs(fresh[i] - example.features[i]) <= std::abs(fresh[i]) / 2048 + 1e-6f);
    CHECK(data.target_vocabulary().decode(example.target) == example.tgt_text);
  }
  SUBCASE("the check finds what is broken") {
    const fs::path root = folder / "one";
    fs::remove(root / "audio/train/train-000000.wav");
    fs::resize_file(root / "audio/dev/dev-000001.wav", 3000);
    auto rows = read_manifest(root / "test.tsv");
    rows[0].keys = read_manifest(root / "train.tsv").at(1).keys;
    rows[1].tgt_text += " Quark";
    rows[2].n_frames += 1;
    write_manifest(root / "test.tsv", rows);
    const DataReport broken = check_data(root);
    std::string all;
    for (const auto& problem : broken.problems) all += problem + "\n";
    for (const char* part : {"train-000000.wav: there is no such file", "truncated", "is in train too", "'Quark' is not in the vocabulary", "the manifest says", "features/test.json"}) {
      CAPTURE(part);
      CAPTURE(all);
      CHECK((all.find(part) != std::string::npos || (std::string(part) == "is in train too" && rows[0].keys.empty())));
    }
    CHECK(data_error([&] { SpeechDataset::open(root, "train"); }).find("there is no audio file") != std::string::npos);
    CHECK(data_error([&] { SpeechDataset::open(root, "test"); }).find("Quark") != std::string::npos);
  }
  SUBCASE("a missing recording leaves nothing behind") {
    fs::remove(fs::path(folder / "sounds") / "digits/at.wav");
    options.out = folder / "four";
    CHECK(data_error([&] { prepare_announcements(options); }).find("digits/at") != std::string::npos);
    CHECK_FALSE(fs::exists(folder / "four"));
  }
}

TEST_CASE("announcements from the real recordings (skipped by name unless asterisk-core-sounds-en-g722 is installed)" *
          doctest::skip(!fs::exists("/usr/share/asterisk/sounds/en_US_f_Allison/digits/1.g722"))) {
  const TemporaryFolder folder;
  AnnouncementsOptions options = small(folder, "real");
  options.sounds_dir = "/usr/share/asterisk/sounds";
  prepare_announcements(options);
  const DataReport report = check_data(folder / "real");
  CHECK(report.ok());
  CHECK(report.splits[0].hours * 3600 / 60 > 2);  // seconds per utterance
}

TEST_CASE("16-bit floats round to nearest, as the hardware does") {
  for (uint32_t h = 0; h < 0x7C00; ++h) REQUIRE(to_half(from_half(uint16_t(h))) == h);
  CHECK(from_half(0x3C00) == 1.0f);
  CHECK(from_half(0x0001) == 0x1p-24f);
  CHECK(from_half(0xC000) == -2.0f);
  CHECK(to_half(1.0f + 0x1p-11f) == 0x3C00);            // a tie goes to the even neighbour
  CHECK(to_half(1.0f + 3 * 0x1p-11f) == 0x3C02);
  CHECK(to_half(65504.0f) == 0x7BFF);
  CHECK(to_half(1e6f) == 0x7C00);
  CHECK(to_half(-0x1p-25f) == 0x8000);
}
