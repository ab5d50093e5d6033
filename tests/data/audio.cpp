#include "data/audio.h"

#include <doctest/doctest.h>
#include <sndfile.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>

#include "engine/core/error.h"
#include "tests/data/temporary.h"

using namespace alinea;

namespace {

std::vector<float> tone(int64_t n, double step = 0.05) {
  std::vector<float> x(n);
  for (int64_t i = 0; i < n; ++i) x[i] = 0.5f * float(std::sin(step * double(i)));
  return x;
}

void write_float(const std::string& path, int channels, int rate, const std::vector<float>& frames) {
  SF_INFO info{};
  info.channels = channels, info.samplerate = rate, info.format = SF_FORMAT_WAV | SF_FORMAT_FLOAT;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  REQUIRE(file != nullptr);
  sf_writef_float(file, frames.data(), int64_t(frames.size()) / channels);
  sf_close(file);
}

}  // namespace

TEST_CASE("a written WAV file is read back, 16 bits") {
  const TemporaryFolder folder;
  const Audio audio{tone(4000), 16000};
  write_wav(folder / "a.wav", audio);
  const Audio back = read_audio(folder / "a.wav");
  REQUIRE(back.samples.size() == 4000);
  CHECK(back.rate == 16000);
  for (size_t i = 0; i < 4000; ++i) REQUIRE(std::abs(back.samples[i] - audio.samples[i]) <= 0.5f / 32768 + 1e-7f);
  CHECK(audio_info(folder / "a.wav").samples == 4000);
  CHECK_FALSE(std::filesystem::exists(folder / "a.wav.part"));
  CHECK(to_pcm16(std::vector<float>{1.5f, -1.5f, 0.0f, 1.0f}) == std::vector<int16_t>{32767, -32768, 0, 32767});
}

TEST_CASE("bad audio is refused with exit kind data and a message that says what to do") {
  const TemporaryFolder folder;
  const std::string good = folder / "good.wav";
  write_wav(good, Audio{tone(4000), 16000});
  CHECK(data_error([&] { read_audio(folder / "none.wav"); }).find("no such file") != std::string::npos);
  std::ofstream(folder / "empty.wav").flush();
  CHECK(data_error([&] { read_audio(folder / "empty.wav"); }).find("empty") != std::string::npos);
  std::ofstream(folder / "text.wav") << "this is not a sound";
  CHECK(data_error([&] { read_audio(folder / "text.wav"); }).find("cannot be read") != std::string::npos);
  for (const int bytes : {60, 5000, 8043}) {  // of 8044
    std::filesystem::copy_file(good, folder / "cut.wav", std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(folder / "cut.wav", bytes);
    CHECK(data_error([&] { read_audio(folder / "cut.wav"); }).find("truncated") != std::string::npos);
  }
  std::filesystem::resize_file(folder / "cut.wav", 20);
  CHECK(data_error([&] { read_audio(folder / "cut.wav"); }).find("cannot be read") != std::string::npos);
  write_wav(folder / "slow.wav", Audio{tone(800), 8000});
  CHECK(data_error([&] { read_audio(folder / "slow.wav"); }).find("8000 Hz; expected 16000 Hz") != std::string::npos);
  CHECK(read_audio(folder / "slow.wav", {.rate = 0}).rate == 8000);
  write_wav(folder / "nothing.wav", Audio{{}, 16000});
  CHECK(data_error([&] { read_audio(folder / "nothing.wav"); }).find("no samples") != std::string::npos);
  write_float(folder / "nan.wav", 1, 16000, {0.0f, std::nanf(""), 0.0f});
  CHECK(data_error([&] { read_audio(folder / "nan.wav"); }).find("finite") != std::string::npos);
}

TEST_CASE("two channels are refused, or averaged when asked") {
  const TemporaryFolder folder;
  write_float(folder / "two.wav", 2, 16000, {0.5f, 0.25f, -0.5f, 0.5f});
  CHECK(data_error([&] { read_audio(folder / "two.wav"); }).find("2 channels") != std::string::npos);
  CHECK(read_audio(folder / "two.wav", {.average_channels = true}).samples == std::vector<float>{0.375f, 0.0f});
}

TEST_CASE("G.722 decodes to 16 kHz, two samples a byte") {
  // Bytes from an encoder-free source: the lower band's code alternates, the upper band's is 'nothing' (binary 11).
  std::vector<uint8_t> bytes(800);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = uint8_t(0xC0 | (i / 4 % 2 ? 0x08 : 0x28));
  const Audio audio = decode_g722(bytes);
  CHECK(audio.rate == 16000);
  CHECK(audio.samples.size() == 1600);
  double energy = 0;
  for (const float x : audio.samples) energy += x * x;
  CHECK(energy > 0.1);
  const TemporaryFolder folder;
  std::ofstream(folder / "a.g722", std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), int64_t(bytes.size()));
  CHECK(read_audio(folder / "a.g722").samples == audio.samples);
  CHECK(audio_info(folder / "a.g722").samples == 1600);
}

TEST_CASE("trimming cuts the silent ends and keeps a little of them") {
  Audio audio{std::vector<float>(16000), 16000};
  const auto x = tone(4000, 0.3);
  std::copy(x.begin(), x.end(), audio.samples.begin() + 5000);
  const Audio cut = trim_silence(audio);
  CHECK(cut.samples.size() > 4000);
  CHECK(cut.samples.size() < 4000 + 160 + 320 + 160);
  CHECK(trim_silence(Audio{std::vector<float>(999), 16000}).samples.size() == 999);
}
