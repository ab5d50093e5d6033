#include "data/audio.h"

#include <sndfile.h>
#include <spandsp.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <memory>

#include "engine/core/error.h"

namespace alinea {
namespace {

using SoundFile = std::unique_ptr<SNDFILE, decltype(&sf_close)>;

bool is_g722(const std::filesystem::path& path) { return path.extension() == ".g722"; }

void require_file(const std::filesystem::path& path) {
  std::error_code error;
  require_data(std::filesystem::exists(path, error), "audio {}: there is no such file; correct the path in the manifest or restore the file",
               path.string());
  require_data(!std::filesystem::is_directory(path, error), "audio {}: is a directory; expected a sound file", path.string());
  require_data(std::filesystem::file_size(path, error) > 0 && !error, "audio {}: the file is empty (0 bytes); make or copy it again",
               path.string());
}

SoundFile open_sound(const std::filesystem::path& path, SF_INFO& info) {
  SoundFile file(sf_open(path.c_str(), SFM_READ, &info), &sf_close);
  require_data(file != nullptr, "audio {}: cannot be read ({}); expected WAV, FLAC, Ogg, Opus or MP3: convert it, or copy it again if it is cut short",
               path.string(), sf_strerror(nullptr));
  return file;
}

uint32_t little32(const char* bytes) {
  const auto* b = reinterpret_cast<const uint8_t*>(bytes);
  return b[0] | b[1] << 8 | b[2] << 16 | uint32_t(b[3]) << 24;
}

/// libsndfile quietly shortens a RIFF file whose data chunk says more than the file holds; this finds the bytes that are missing.
void require_whole_wav(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  char head[12] = {};
  if (!file.read(head, 12) || std::string_view(head, 4) != "RIFF" || std::string_view(head + 8, 4) != "WAVE") return;
  const uint64_t size = std::filesystem::file_size(path);
  for (uint64_t at = 12; at + 8 <= size;) {
    char chunk[8];
    file.seekg(int64_t(at));
    if (!file.read(chunk, 8)) return;
    const uint64_t length = little32(chunk + 4);
    if (std::string_view(chunk, 4) == "data") {
      // Programs that write to a pipe do not know the length and put 0 or the largest number there.
      require_data(length >= 0x7FFFF000u || at + 8 + length <= size,
                   "audio {}: truncated: the header promises {} bytes of sound, the file holds {}; copy or make it again", path.string(), length,
                   size - at - 8);
      return;
    }
    at += 8 + length + length % 2;
  }
}

Audio read_g722(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  require_data(file.good() || file.eof(), "audio {}: cannot be read; check its permissions", path.string());
  return decode_g722({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

}  // namespace

Audio read_audio(const std::filesystem::path& path, const AudioPolicy& policy) {
  require_file(path);
  Audio audio;
  if (is_g722(path)) {
    audio = read_g722(path);
  } else {
    SF_INFO info{};
    const SoundFile file = open_sound(path, info);
    require_whole_wav(path);
    require_data(info.frames > 0, "audio {}: holds no samples; remove it from the manifest or make it again", path.string());
    require_data(info.channels == 1 || policy.average_channels,
                 "audio {}: has {} channels; expected 1: pick one channel (sox IN.wav OUT.wav remix 1), or ask for their average", path.string(),
                 info.channels);
    std::vector<float> frames(info.frames * info.channels);
    const int64_t got = sf_readf_float(file.get(), frames.data(), info.frames);
    require_data(got == info.frames, "audio {}: truncated: the header promises {} samples, {} could be decoded; copy or make it again",
                 path.string(), int64_t(info.frames), got);
    audio.rate = info.samplerate;
    audio.samples.resize(got);
    for (int64_t i = 0; i < got; ++i) {
      float sum = 0;
      for (int c = 0; c < info.channels; ++c) sum += frames[i * info.channels + c];
      audio.samples[i] = sum / float(info.channels);
    }
  }
  require_data(policy.rate == 0 || audio.rate == policy.rate, "audio {}: is sampled at {} Hz; expected {} Hz: resample it (sox IN.wav -r {} OUT.wav)",
               path.string(), audio.rate, policy.rate, policy.rate);
  for (const float x : audio.samples)
    require_data(std::isfinite(x), "audio {}: holds a sample that is not a finite number; make it again", path.string());
  return audio;
}

AudioInfo audio_info(const std::filesystem::path& path) {
  require_file(path);
  if (is_g722(path)) return {int64_t(std::filesystem::file_size(path)) * 2, 16000, 1};
  SF_INFO info{};
  open_sound(path, info);
  require_whole_wav(path);
  return {info.frames, info.samplerate, info.channels};
}

std::vector<int16_t> to_pcm16(std::span<const float> samples) {
  std::vector<int16_t> pcm(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    const float scaled = std::min(32767.0f, std::max(-32768.0f, samples[i] * 32768.0f));
    pcm[i] = int16_t(int32_t(scaled + std::copysign(0.5f, scaled)));  // |scaled| + 0.5 < 32768.5 truncates into the range
  }
  return pcm;
}

std::vector<float> from_pcm16(std::span<const int16_t> samples) {
  std::vector<float> x(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) x[i] = float(samples[i]) * (1.0f / 32768.0f);
  return x;
}

void write_wav(const std::filesystem::path& path, std::span<const int16_t> samples, int rate) {
  const std::filesystem::path temporary = path.string() + ".part";
  SF_INFO info{};
  info.samplerate = rate, info.channels = 1, info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  {
    const SoundFile file(sf_open(temporary.c_str(), SFM_WRITE, &info), &sf_close);
    require(file != nullptr, "audio {}: cannot be written ({}); check the folder and its permissions", path.string(), sf_strerror(nullptr));
    const int64_t written = sf_writef_short(file.get(), samples.data(), int64_t(samples.size()));
    if (written != int64_t(samples.size())) {
      std::filesystem::remove(temporary);
      fail(Exit::failed, "audio {}: only {} of {} samples could be written; is the disk full?", path.string(), written, samples.size());
    }
  }
  std::filesystem::rename(temporary, path);
}

void write_wav(const std::filesystem::path& path, const Audio& audio) { write_wav(path, to_pcm16(audio.samples), audio.rate); }

// libsndfile does not know G.722, and the codec (ITU-T G.722, sub-band ADPCM) is defined bit by bit: spandsp's decoder is small, packaged
// everywhere, and passes the standard's own test vectors.
Audio decode_g722(std::span<const uint8_t> bytes) {
  require_data(!bytes.empty(), "G.722: no bytes to decode; make or copy the file again");
  const std::unique_ptr<g722_decode_state_t, int (*)(g722_decode_state_t*)> state(g722_decode_init(nullptr, 64000, 0), &g722_decode_free);
  require(state != nullptr, "G.722: the decoder could not be started (out of memory?)");
  std::vector<int16_t> pcm(bytes.size() * 2);
  const int count = g722_decode(state.get(), pcm.data(), bytes.data(), int(bytes.size()));
  pcm.resize(size_t(std::max(0, count)));
  return {from_pcm16(pcm), 16000};
}

Audio trim_silence(const Audio& audio, float threshold) {
  const int64_t n = int64_t(audio.samples.size()), window = audio.rate / 100;
  if (n <= window) return audio;
  std::vector<double> sums(n + 1);  // of squares
  for (int64_t i = 0; i < n; ++i) sums[i + 1] = sums[i] + double(audio.samples[i]) * audio.samples[i];
  const auto energy = [&](int64_t i) { return sums[std::min(n, i + window / 2)] - sums[std::max<int64_t>(0, i - window / 2)]; };
  double loudest = 0;
  for (int64_t i = 0; i < n; ++i) loudest = std::max(loudest, energy(i));
  if (loudest == 0) return audio;
  const double least = loudest * threshold * threshold;
  int64_t first = 0, last = n - 1;
  while (energy(first) <= least) ++first;
  while (energy(last) <= least) --last;
  first = std::max<int64_t>(0, first - window), last = std::min(n, last + 2 * window);
  return {{audio.samples.begin() + first, audio.samples.begin() + last}, audio.rate};
}

}  // namespace alinea
