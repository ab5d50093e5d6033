#include "data/features/log_mel.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include "tests/golden.h"

using namespace alinea;

namespace {

template <class T>
std::vector<T> raw(const std::string& name) {
  std::ifstream file(golden("fbank/" + name), std::ios::binary);
  REQUIRE(file.good());
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

std::vector<float> samples16(const std::string& name) {
  const auto pcm = raw<int16_t>(name);
  return {pcm.begin(), pcm.end()};
}

double worst(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double d = 0;
  for (size_t i = 0; i < a.size(); ++i) d = std::max(d, double(std::abs(a[i] - b[i])));
  return d;
}

std::vector<float> hum(int64_t n) {
  std::vector<float> x(n);
  for (int64_t i = 0; i < n; ++i) x[i] = float(0.3 * std::sin(0.05 * double(i)) + double((i * 2654435761u >> 12) % 1024) / 4096 - 0.1);
  return x;
}

}  // namespace

TEST_CASE("log-mel equals Kaldi's filter bank") {
  const LogMel mel({.unit_scale = false}), narrow({.bins = 40, .unit_scale = false});
  for (const std::string name : {"odd", "with_silence", "one_frame"}) {
    CAPTURE(name);
    CHECK(worst(mel(samples16(name + ".s16")), raw<float>(name + ".fbank80.f32")) < 2e-3);
  }
  CHECK(worst(mel(raw<float>("tone.pcm.f32")), raw<float>("tone.fbank80.f32")) < 2e-3);
  CHECK(worst(narrow(samples16("odd.s16")), raw<float>("odd.fbank40.f32")) < 2e-3);
}

TEST_CASE("log-mel of digital silence is the floor, exactly") {
  for (const float y : LogMel()(std::vector<float>(1000))) REQUIRE(y == std::log(1.1920929e-7f));
}

TEST_CASE("log-mel gives no frame for less than one window, and scales samples in ±1") {
  CHECK(LogMel()(std::vector<float>(399)).empty());
  CHECK(log_mel_frames(400) == 1);
  CHECK(log_mel_frames(93680) == 584);
  std::vector<float> x = samples16("odd.s16"), unit = x;
  for (float& v : unit) v /= 32768.0f;
  CHECK(worst(LogMel({.unit_scale = false})(x), LogMel()(unit)) < 1e-4);
}

TEST_CASE("log-mel of a stream has the same bits as that of the whole signal") {
  const auto x = hum(20000);
  const auto whole = LogMel()(x);
  for (const int64_t piece : {1, 7, 160, 333, 2560, 19999}) {
    LogMelStream stream;
    std::vector<float> joined;
    for (int64_t at = 0; at < int64_t(x.size()); at += piece) {
      const auto some = stream.accept(std::span(x).subspan(at, std::min(piece, int64_t(x.size()) - at)));
      joined.insert(joined.end(), some.begin(), some.end());
    }
    CAPTURE(piece);
    REQUIRE(joined.size() == whole.size());
    CHECK(std::memcmp(joined.data(), whole.data(), whole.size() * sizeof(float)) == 0);
    CHECK(stream.frames() == log_mel_frames(int64_t(x.size())));
  }
}

TEST_CASE("log-mel works at other rates (FFT sizes that are odd powers of two)") {
  // A tone of 1 kHz must have its peak in the same mel place at 8, 16 and 44.1 kHz when the bins are spaced alike.
  for (const int rate : {8000, 16000, 44100}) {
    std::vector<float> x(rate / 2);
    for (size_t i = 0; i < x.size(); ++i) x[i] = 0.5f * float(std::sin(2 * M_PI * 1000 * double(i) / rate));
    const auto y = LogMel({.bins = 80, .rate = rate})(x);
    int peak = 0;
    for (int b = 1; b < 80; ++b)
      if (y[b] > y[peak]) peak = b;
    const auto mel = [](double f) { return 1127 * std::log(1 + f / 700); };
    const double expected = (mel(1000) - mel(20)) / ((mel(rate / 2.0) - mel(20)) / 81) - 1;
    CAPTURE(rate);
    CHECK(std::abs(peak - expected) <= 1.0);
  }
}
