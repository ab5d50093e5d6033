// Kaldi's log-mel filter bank ("fbank"): frames of 25 ms every 10 ms (only whole ones: snip_edges), no dither, and per frame
//   x ← x − mean(x);  x_i ← x_i − 0.97 x_{i−1} (x_{−1} = x_0);  x_i ← x_i (0.5 − 0.5 cos 2πi/(N−1))^0.85   (Povey's window)
//   P_k = |FFT(x, padded with zeros to a power of two)_k|²,  k below the Nyquist bin
//   y_b = ln max(Σ_k w_bk P_k, 1.1920929e-7),  w_b a triangle, linear in mel(f) = 1127 ln(1 + f/700), between 20 Hz and Nyquist.
// Equal to Kaldi's compute-fbank-feats and torchaudio.compliance.kaldi.fbank to 2e-3. Sixteen frames are computed together, one
// per vector lane, and a frame's value does not depend on its lane: a stream gives the same bits as the whole signal.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace alinea {

struct LogMelOptions {
  int bins = 80;
  int rate = 16000;             // Hz
  bool unit_scale = true;       // samples in ±1 are scaled to the int16 range, as Kaldi expects; false: they are in that range already
  int64_t window() const { return int64_t(rate) * 25 / 1000; }
  int64_t shift() const { return int64_t(rate) * 10 / 1000; }
};

/// Number of whole frames in `samples` samples: 1 + ⌊(samples − window) / shift⌋, 0 if shorter than one window.
int64_t log_mel_frames(int64_t samples, const LogMelOptions& options = {});

class LogMel {
 public:
  explicit LogMel(const LogMelOptions& options = {});
  ~LogMel();
  LogMel(LogMel&&) noexcept;
  LogMel& operator=(LogMel&&) noexcept;
  const LogMelOptions& options() const;

  /// samples → [frames, bins]. Empty if there is no whole frame. Safe to call from several threads at once.
  std::vector<float> operator()(std::span<const float> samples) const;
  /// The same into `out`, which holds log_mel_frames(samples) · bins values.
  void compute(std::span<const float> samples, float* out) const;

 private:
  struct Plan;
  std::unique_ptr<const Plan> plan_;
};

/// The same frames from a signal that arrives in pieces of any size. Keeps the samples that later frames still need (< 25 ms + 10 ms).
class LogMelStream {
 public:
  explicit LogMelStream(const LogMelOptions& options = {}) : mel_(options) {}
  /// Takes samples; returns the frames that they complete, [n, bins], possibly none.
  std::vector<float> accept(std::span<const float> samples);
  int64_t frames() const { return frames_; }  // given out so far
  void reset() { kept_.clear(), frames_ = 0; }

 private:
  LogMel mel_;
  std::vector<float> kept_;
  int64_t frames_ = 0;
};

}  // namespace alinea
