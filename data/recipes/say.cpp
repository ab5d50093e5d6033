#include "data/recipes/say.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"

namespace alinea {
namespace {

constexpr int rate = 16000;

int64_t milliseconds(Draw& random, int64_t low, int64_t high) { return random.integer(low, high) * rate / 1000; }

double decibels(Draw& random, double most) { return std::pow(10.0, random.uniform(-most, most) / 20); }

/// Reads x at 0, step, 2 step … < its last sample, between samples by linear interpolation.
void resample(const std::vector<float>& x, double step, float gain, std::vector<float>& out) {
  const int64_t count = int64_t(std::ceil(double(x.size() - 1) / step)), begin = int64_t(out.size());
  out.resize(begin + count);
  for (int64_t i = 0; i < count; ++i) {
    const double t = double(i) * step;
    const int64_t whole = int64_t(t);
    const float part = float(t - double(whole));
    out[begin + i] = gain * (x[whole] + part * (x[whole + 1] - x[whole]));
  }
}

/// White noise: each value the sum of four signed bytes (nearly normal); `dark`: the running mean of eight of them.
std::vector<float> noise(int64_t count, bool dark, RandomKey key) {
  std::vector<float> white(count + 16);
  for (int64_t b = 0; b * 4 < int64_t(white.size()); ++b) {
    const auto block = key.block(uint64_t(b));
    for (int64_t i = 0; i < std::min<int64_t>(4, int64_t(white.size()) - 4 * b); ++i) {
      const uint32_t v = block[i];
      white[4 * b + i] = float(int8_t(v) + int8_t(v >> 8) + int8_t(v >> 16) + int8_t(v >> 24)) + 2.0f;  // the mean of a signed byte is −½
    }
  }
  if (dark) {
    for (int64_t i = 0; i < count; ++i) {
      float sum = 0;
      for (int64_t k = 0; k < 8; ++k) sum += white[i + k];
      white[i] = sum / 8;
    }
  }
  white.resize(count);
  return white;
}

double mean_square(const std::vector<float>& x) {
  float lanes[16] = {};  // sums of independent lanes, so that the loop is vectorised
  const size_t whole = x.size() / 16 * 16;
  for (size_t i = 0; i < whole; i += 16)
    for (size_t l = 0; l < 16; ++l) lanes[l] += x[i + l] * x[i + l];
  double sum = 0;
  for (const float lane : lanes) sum += lane;
  for (size_t i = whole; i < x.size(); ++i) sum += x[i] * x[i];
  return sum / double(x.size());
}

}  // namespace

const std::vector<float>& Recordings::operator[](const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(name);
  if (found != kept_.end()) return found->second;
  std::filesystem::path path = folder_ / (name + ".g722");
  if (!std::filesystem::exists(path)) path = folder_ / (name + ".wav");
  require_data(std::filesystem::exists(path),
               "announcements: no recording {}/{}.g722 (or .wav); install the language's recordings (apt-get install asterisk-core-sounds-en-g722; "
               "-es-, -fr-, -it-, -ru- for the others) or name their folder with --sounds",
               folder_.string(), name);
  auto samples = trim_silence(read_audio(path)).samples;
  require_data(samples.size() >= 2, "announcements: the recording {} holds only {} samples; replace it", path.string(), samples.size());
  return kept_.emplace(name, std::move(samples)).first->second;
}

Utterance say(const Recordings& recordings, const std::vector<std::string>& names, RandomKey key) {
  Draw random(key.child("join"));
  Utterance out;
  const double speed = random.uniform(0.9, 1.1);
  out.samples.assign(milliseconds(random, 50, 300), 0.0f);
  for (const std::string& name : names) {
    const double begin = double(out.samples.size()) / rate, step = speed * random.uniform(0.97, 1.03);
    resample(recordings[name], step, float(decibels(random, 3)), out.samples);
    out.spans.emplace_back(float(begin), float(double(out.samples.size()) / rate));
    out.samples.resize(out.samples.size() + milliseconds(random, 0, 150));
  }
  out.samples.resize(out.samples.size() + milliseconds(random, 100, 400));
  const float gain = float(decibels(random, 6));
  const bool dark = random.uniform() < 0.5;
  const double snr = std::pow(10.0, random.uniform(2, 4));
  const auto hiss = noise(int64_t(out.samples.size()), dark, key.child("noise"));
  const float level = float(gain * std::sqrt(mean_square(out.samples) / (mean_square(hiss) * snr)));
  for (size_t i = 0; i < hiss.size(); ++i) out.samples[i] = gain * out.samples[i] + level * hiss[i];
  return out;
}

}  // namespace alinea
