// Sound files: one channel, samples in ±1. WAV, FLAC, Ogg, Opus, MP3 through libsndfile; G.722 (files ending in .g722) through spandsp.
// Every error is of kind data and says which file, what was found and what to do.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace alinea {

struct Audio {
  std::vector<float> samples;  // ±1
  int rate = 16000;            // Hz
  double seconds() const { return double(samples.size()) / rate; }
};

struct AudioPolicy {
  int rate = 16000;              // the rate that the file must have; 0: any
  bool average_channels = false; // several channels: their mean; false: refused, because the channels may be two speakers
};

/// Reads a whole file. Refuses what is missing, empty, truncated, of several channels (unless asked to average) or of another rate.
Audio read_audio(const std::filesystem::path& path, const AudioPolicy& policy = {});

/// The number of samples and the rate of a file, from its header (G.722: from its size). Same errors for missing and unreadable files.
struct AudioInfo {
  int64_t samples = 0;
  int rate = 0, channels = 1;
};
AudioInfo audio_info(const std::filesystem::path& path);

/// ±1 → 16 bits, rounded to nearest, clipped.
std::vector<int16_t> to_pcm16(std::span<const float> samples);
/// 16 bits → ±1 (exact).
std::vector<float> from_pcm16(std::span<const int16_t> samples);

/// Writes a 16-bit WAV file of one channel: to a temporary name beside it, then renamed, so a reader never meets half a file.
void write_wav(const std::filesystem::path& path, std::span<const int16_t> samples, int rate);
void write_wav(const std::filesystem::path& path, const Audio& audio);

/// Decodes G.722 (64 kbit/s): each byte becomes two samples at 16 kHz.
Audio decode_g722(std::span<const uint8_t> bytes);

/// Cuts silence at both ends: keeps what lies between the first and last 10 ms window whose RMS is above `threshold` times the
/// loudest one, with 10 ms before and 20 ms after. All-silent audio is returned as it is.
Audio trim_silence(const Audio& audio, float threshold = 0.01f);

}  // namespace alinea
