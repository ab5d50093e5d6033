#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <numbers>

#include "data/features/extractor.h"
#include "data/resample.h"
#include "engine/core/error.h"
#include "engine/core/files.h"
#include "tests/data/temporary.h"
#include "tests/golden.h"

using namespace alinea;
using Sounds = std::vector<std::vector<float>>;

namespace {

std::vector<float> floats(const std::string& name) {
  const std::string bytes = read_file(golden(name));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::vector<float> pcm(const std::string& name) {
  const std::string bytes = read_file(golden(name));
  std::vector<int16_t> values(bytes.size() / 2);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return from_pcm16(values);
}

double worst(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double d = 0;
  for (size_t i = 0; i < a.size(); ++i) d = std::max(d, double(std::abs(a[i] - b[i])) / (1 + double(std::abs(b[i]))));
  return d;
}

}  // namespace

TEST_CASE("waveform features equal transformers': padded with and without a mask, alone, cut") {
  const std::string folder = "hf/feature_extractor/";
  const Sounds waves{floats(folder + "wave.0.f32"), floats(folder + "wave.1.f32"), floats(folder + "wave.2.f32")};
  const FeatureExtractor masked = FeatureExtractor::open(golden("hf/feature_extractor"));
  CHECK(masked.return_attention_mask);
  FeatureExtractor bare = masked;
  bare.return_attention_mask = false;
  const FeatureBatch batch = masked(waves);
  CHECK(batch.lengths == std::vector<int32_t>{1600, 1203, 777});
  CHECK(batch.length == 1600);
  CHECK(worst(batch.values, floats(folder + "with_mask.input_values.f32")) <= 1e-5);
  CHECK(bare(waves).lengths.empty());
  CHECK(worst(bare(waves).values, floats(folder + "without_mask.input_values.f32")) <= 1e-5);
  const FeatureBatch cut = masked(waves, {.length = 1000, .cut = true});
  CHECK(cut.lengths == std::vector<int32_t>{1000, 1000, 777});
  CHECK(worst(cut.values, floats(folder + "with_mask.max_length.f32")) <= 1e-5);
  for (const std::string mask : {"with_mask", "without_mask"}) {
    const FeatureExtractor& f = mask == "with_mask" ? masked : bare;
    CHECK(worst(f(Sounds{waves[1]}).values, floats(folder + mask + ".single.f32")) <= 1e-5);
    CHECK(worst(f(Sounds{floats(folder + "constant.f32")}).values, floats(folder + mask + ".constant.f32")) <= 1e-3);
  }
  CHECK_THROWS_AS(masked(waves, {.length = 1000}), Error);
  CHECK_THROWS_AS(masked(Sounds{{}}), Error);
}

TEST_CASE("filter banks with mean and variance normalised equal transformers' Speech2TextFeatureExtractor") {
  const FeatureExtractor f{.kind = "Speech2TextFeatureExtractor"};
  const FeatureBatch batch = f(Sounds{pcm("fbank/second.s16"), pcm("fbank/odd.s16")});
  CHECK(batch.length == 98);
  CHECK(batch.width == 80);
  CHECK(batch.lengths == std::vector<int32_t>{98, 31});
  const auto want = floats("fbank/speech_to_text.f32");
  REQUIRE(batch.values.size() == want.size());
  double d = 0;
  for (size_t i = 0; i < want.size(); ++i) d = std::max(d, double(std::abs(batch.values[i] - want[i])));
  CHECK(d <= 5e-3);
  for (const float x : f(Sounds{std::vector<float>(1000)}).values) REQUIRE(x == 0);
  CHECK_THROWS_AS(f(Sounds{std::vector<float>(399)}), Error);
}

TEST_CASE("feature settings: read, written, refused") {
  TemporaryFolder folder;
  const std::string file = folder / "preprocessor_config.json";
  FeatureExtractor made{.kind = "Speech2TextFeatureExtractor", .rate = 8000, .normalize_variances = false, .bins = 40};
  made.save(folder / "");
  const FeatureExtractor back = FeatureExtractor::open(folder / "");
  CHECK((back.rate == 8000 && back.bins == 40 && back.normalize_means && !back.normalize_variances && back.makes_filter_banks()));
  write_atomically(file, R"({"feature_extractor_type": "WhisperFeatureExtractor"})");
  CHECK(data_error([&] { FeatureExtractor::open(folder / ""); }).find("'WhisperFeatureExtractor' is not known") != std::string::npos);
  write_atomically(file, R"({"do_normalize": 1})");
  CHECK(data_error([&] { FeatureExtractor::open(folder / ""); }).find("'do_normalize' is 1") != std::string::npos);
  write_atomically(file, R"({"padding_side": "left"})");
  CHECK(data_error([&] { FeatureExtractor::open(folder / ""); }).find("padding_side 'left'") != std::string::npos);
  std::filesystem::remove(file);
  write_atomically(folder / "processor_config.json", R"({"feature_extractor": {"do_normalize": false, "mine": [1]}})");
  const FeatureExtractor nested = FeatureExtractor::open(folder / "");
  CHECK_FALSE(nested.do_normalize);
  nested.save(folder / "");
  CHECK(read_file(file).find("\"mine\"") != std::string::npos);
  std::filesystem::remove(file);
  std::filesystem::remove(folder / "processor_config.json");
  CHECK(data_error([&] { FeatureExtractor::open(folder / ""); }).find("preprocessor_config.json") != std::string::npos);
}

TEST_CASE("resampling: a tone keeps its pitch and level, what the new rate cannot hold goes") {
  const auto tone = [](int rate, double hertz, double seconds) {
    Audio a{std::vector<float>(size_t(rate * seconds)), rate};
    for (size_t i = 0; i < a.samples.size(); ++i) a.samples[i] = 0.5f * float(std::sin(2 * std::numbers::pi * hertz * double(i) / rate));
    return a;
  };
  for (const int from : {8000, 22050, 44100, 48000}) {
    CAPTURE(from);
    const Audio got = resample(tone(from, 1000, 0.5), 16000), want = tone(16000, 1000, 0.5);
    CHECK(got.rate == 16000);
    REQUIRE(std::abs(int64_t(got.samples.size()) - 8000) <= 1);
    double d = 0;
    for (size_t i = 400; i < 7600; ++i) d = std::max(d, double(std::abs(got.samples[i] - want.samples[i])));
    CHECK(d < 1e-4);
  }
  double left = 0;
  const Audio high = resample(tone(48000, 12000, 0.5), 16000);
  for (size_t i = 400; i < 7600; ++i) left = std::max(left, double(std::abs(high.samples[i])));
  CHECK(left < 1e-4);
  CHECK(resample(tone(16000, 500, 0.1), 16000).samples == tone(16000, 500, 0.1).samples);
}
