// Joining recordings of single words into an utterance: lead 50–300 ms, a gap of 0–150 ms after each word, tail 100–400 ms; one speed
// 0.9–1.1 per utterance and ±3 % per word (linear interpolation, so the pitch moves too); ±3 dB per word, ±6 dB per utterance; white or
// darker noise at 20–40 dB below the speech. A pure function of the key.
#pragma once
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "data/audio.h"
#include "engine/core/random.h"

namespace alinea {

/// The recordings of one speaker below a folder, NAME.g722 or NAME.wav (16 kHz), decoded and trimmed once. Safe for several threads.
class Recordings {
 public:
  explicit Recordings(std::filesystem::path folder) : folder_(std::move(folder)) {}
  /// Throws Error{data}, saying which package to install, if there is no such recording.
  const std::vector<float>& operator[](const std::string& name) const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::vector<float>> kept_;
};

struct Utterance {
  std::vector<float> samples;                     // ±1 (louder peaks are clipped when written), 16 kHz
  std::vector<std::pair<float, float>> spans;     // of each word, in seconds
};

Utterance say(const Recordings& recordings, const std::vector<std::string>& names, RandomKey key);

}  // namespace alinea
