#include "data/features/log_mel.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/core/error.h"

// One binary that is fast on every machine; sanitizers and Clang do not take the attribute together with what they add.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ALINEA_DATA_CLONES __attribute__((target_clones("default", "arch=haswell", "arch=skylake-avx512")))
#else
#define ALINEA_DATA_CLONES
#endif

namespace alinea {
namespace {

constexpr int lanes = 16;

struct Triangle {
  int first = 0;              // FFT bin of weights[0]
  std::vector<float> weights;
};

struct Complex {
  float re, im;
};

}  // namespace

struct LogMel::Plan {
  LogMelOptions options;
  int64_t fft = 0;                   // power of two ≥ window
  std::vector<float> window;
  std::vector<Complex> twiddles;     // e^{−2πi k/fft}, k < fft
  std::vector<Triangle> triangles;
};

namespace {

double mel(double hertz) { return 1127.0 * std::log(1.0 + hertz / 700.0); }

std::vector<Triangle> mel_triangles(const LogMelOptions& options, int64_t fft) {
  const double low = mel(20), step = (mel(options.rate / 2.0) - low) / (options.bins + 1);
  std::vector<Triangle> result(options.bins);
  for (int b = 0; b < options.bins; ++b) {
    const double left = low + b * step, centre = left + step, right = centre + step;
    for (int64_t k = 0; k < fft / 2; ++k) {
      const double m = mel(double(k) * options.rate / double(fft));
      if (m <= left || m >= right) continue;
      if (result[b].weights.empty()) result[b].first = int(k);
      result[b].weights.push_back(float(m <= centre ? (m - left) / (centre - left) : (right - m) / (right - centre)));
    }
  }
  return result;
}

/// n rows of `lanes` values each. (GCC lowers its vector types before it clones functions for several processors, which would leave
/// SSE code in the clones, so everything below is loops over the lanes, vectorised after cloning.)
struct Planes {
  float *re, *im;
};

/// One pass of Stockham's radix-4 FFT: transforms of `count` points, `stride` of them interleaved; n = count · stride.
__attribute__((always_inline)) inline void radix4(int64_t count, int64_t stride, const Complex* twiddles, int64_t turn, Planes from, Planes to) {
  const int64_t quarter = count / 4, hop = stride * quarter * lanes, step = stride * lanes;
  for (int64_t p = 0; p < quarter; ++p) {
    const Complex w1 = twiddles[p * turn], w2 = twiddles[2 * p * turn], w3 = twiddles[3 * p * turn];
    for (int64_t q = 0; q < stride; ++q) {
      const float* __restrict ar = from.re + (q + stride * p) * lanes;
      const float* __restrict ai = from.im + (q + stride * p) * lanes;
      float* __restrict br = to.re + (q + stride * 4 * p) * lanes;
      float* __restrict bi = to.im + (q + stride * 4 * p) * lanes;
      for (int l = 0; l < lanes; ++l) {
        const float sum_re = ar[l] + ar[l + 2 * hop], sum_im = ai[l] + ai[l + 2 * hop];
        const float odd_re = ar[l + hop] + ar[l + 3 * hop], odd_im = ai[l + hop] + ai[l + 3 * hop];
        const float dif_re = ar[l] - ar[l + 2 * hop], dif_im = ai[l] - ai[l + 2 * hop];
        const float rot_re = ai[l + hop] - ai[l + 3 * hop], rot_im = ar[l + 3 * hop] - ar[l + hop];
        const float b1_re = dif_re + rot_re, b1_im = dif_im + rot_im, b2_re = sum_re - odd_re, b2_im = sum_im - odd_im;
        const float b3_re = dif_re - rot_re, b3_im = dif_im - rot_im;
        br[l] = sum_re + odd_re, bi[l] = sum_im + odd_im;
        br[l + step] = b1_re * w1.re - b1_im * w1.im, bi[l + step] = b1_re * w1.im + b1_im * w1.re;
        br[l + 2 * step] = b2_re * w2.re - b2_im * w2.im, bi[l + 2 * step] = b2_re * w2.im + b2_im * w2.re;
        br[l + 3 * step] = b3_re * w3.re - b3_im * w3.im, bi[l + 3 * step] = b3_re * w3.im + b3_im * w3.re;
      }
    }
  }
}

/// The last pass when n is an odd power of two; it needs no twiddles.
__attribute__((always_inline)) inline void radix2(int64_t stride, const float* __restrict a, float* __restrict b) {
  for (int64_t q = 0; q < stride; ++q, a += lanes, b += lanes) {
    for (int l = 0; l < lanes; ++l) b[l] = a[l] + a[l + stride * lanes], b[l + stride * lanes] = a[l] - a[l + stride * lanes];
  }
}

/// Complex FFT of n points (2^k) of each lane; `a` is overwritten, `b` is room. Returns where the result lies.
__attribute__((always_inline)) inline Planes fft(int64_t n, int64_t turn, const Complex* twiddles, Planes a, Planes b) {
  int64_t count = n, stride = 1;
  for (; count >= 4; count /= 4, stride *= 4, turn *= 4) {
    radix4(count, stride, twiddles, turn, a, b);
    std::swap(a, b);
  }
  if (count == 2) {
    radix2(stride, a.re, b.re), radix2(stride, a.im, b.im);
    std::swap(a, b);
  }
  return a;
}

/// |X_k|², k < n, of the 2n real values that were packed as n complex ones, from their FFT z:
/// X_k = (z_k + z̄_{n−k})/2 − (i/2) e^{−πik/n} (z_k − z̄_{n−k}).
__attribute__((always_inline)) inline void power_spectrum(int64_t n, const Complex* twiddles, Planes z, float* __restrict power) {
  for (int64_t k = 0; k < n; ++k, power += lanes) {
    const float* __restrict ar = z.re + k * lanes;
    const float* __restrict ai = z.im + k * lanes;
    const float* __restrict br = z.re + (k ? n - k : 0) * lanes;
    const float* __restrict bi = z.im + (k ? n - k : 0) * lanes;
    const Complex w = twiddles[k];
    for (int l = 0; l < lanes; ++l) {
      const float even_re = (ar[l] + br[l]) * 0.5f, even_im = (ai[l] - bi[l]) * 0.5f;
      const float odd_re = (ai[l] + bi[l]) * 0.5f, odd_im = (br[l] - ar[l]) * 0.5f;
      const float re = even_re + (odd_re * w.re - odd_im * w.im), im = even_im + (odd_re * w.im + odd_im * w.re);
      power[l] = re * re + im * im;
    }
  }
}

/// Remove the mean, pre-emphasise, window; x[i · lanes + l], and even and odd samples become the real and imaginary parts of z.
__attribute__((always_inline)) inline void taper_frames(const float* __restrict x, int64_t window, int64_t size, const float* taper, Planes z) {
  float mean[lanes] = {}, last[lanes];
  for (int64_t i = 0; i < window; ++i)
    for (int l = 0; l < lanes; ++l) mean[l] += x[i * lanes + l];
  for (int l = 0; l < lanes; ++l) mean[l] *= 1.0f / float(window), last[l] = x[l] - mean[l];
  for (int64_t i = 0; i < window; ++i) {
    float* __restrict to = (i % 2 ? z.im : z.re) + i / 2 * lanes;
    const float w = taper[i];
    for (int l = 0; l < lanes; ++l) {
      const float now = x[i * lanes + l] - mean[l];
      to[l] = (now - 0.97f * last[l]) * w;
      last[l] = now;
    }
  }
  for (int64_t i = window; i < size; ++i) std::fill_n((i % 2 ? z.im : z.re) + i / 2 * lanes, lanes, 0.0f);
}

/// Up to `lanes` frames that begin `shift` samples apart: energies of the mel triangles, [bins, lanes]. `room` holds 3 · size · lanes values.
ALINEA_DATA_CLONES void mel_energies(const float* samples, int64_t used, int64_t shift, float scale, int64_t window, int64_t size,
                                     const float* taper, const Complex* twiddles, const Triangle* triangles, int bins, float* room,
                                     float* energies) {
  const int64_t half = size / 2 * lanes;
  float* x = room;
  for (int64_t l = 0; l < lanes; ++l) {
    const float* frame = samples + (l < used ? l : 0) * shift;
    for (int64_t i = 0; i < window; ++i) x[i * lanes + l] = frame[i] * scale;
  }
  const Planes a{room + 2 * half, room + 3 * half}, b{room + 4 * half, room + 5 * half};
  taper_frames(x, window, size, taper, a);
  const Planes z = fft(size / 2, 2, twiddles, a, b);
  power_spectrum(size / 2, twiddles, z, room);
  for (int bin = 0; bin < bins; ++bin) {
    float sum[lanes] = {};
    const float* p = room + triangles[bin].first * lanes;
    for (const float w : triangles[bin].weights) {
      for (int l = 0; l < lanes; ++l) sum[l] += p[l] * w;
      p += lanes;
    }
    std::copy_n(sum, lanes, energies + bin * lanes);
  }
}

}  // namespace

int64_t log_mel_frames(int64_t samples, const LogMelOptions& options) {
  return samples < options.window() ? 0 : 1 + (samples - options.window()) / options.shift();
}

LogMel::LogMel(const LogMelOptions& options) {
  require(options.bins >= 1 && options.bins <= 512, "log-mel: {} bins; expected 1 … 512", options.bins);
  require(options.rate >= 4000 && options.rate <= 192000, "log-mel: rate {} Hz; expected 4000 … 192000", options.rate);
  auto plan = std::make_unique<Plan>();
  plan->options = options;
  const int64_t window = options.window();
  for (plan->fft = 16; plan->fft < window;) plan->fft *= 2;
  plan->window.resize(window);
  for (int64_t i = 0; i < window; ++i)
    plan->window[i] = float(std::pow(0.5 - 0.5 * std::cos(2 * std::numbers::pi * double(i) / double(window - 1)), 0.85));
  plan->twiddles.resize(plan->fft);
  for (int64_t k = 0; k < plan->fft; ++k) {
    const double angle = -2 * std::numbers::pi * double(k) / double(plan->fft);
    plan->twiddles[k] = {float(std::cos(angle)), float(std::sin(angle))};
  }
  plan->triangles = mel_triangles(options, plan->fft);
  plan_ = std::move(plan);
}

LogMel::~LogMel() = default;
LogMel::LogMel(LogMel&&) noexcept = default;
LogMel& LogMel::operator=(LogMel&&) noexcept = default;
const LogMelOptions& LogMel::options() const { return plan_->options; }

void LogMel::compute(std::span<const float> samples, float* out) const {
  const Plan& plan = *plan_;
  const int64_t frames = log_mel_frames(int64_t(samples.size()), plan.options), shift = plan.options.shift();
  const int bins = plan.options.bins;
  std::vector<float> room(3 * plan.fft * lanes), energies(bins * lanes);
  for (int64_t first = 0; first < frames; first += lanes) {
    const int64_t used = std::min<int64_t>(lanes, frames - first);
    mel_energies(samples.data() + first * shift, used, shift, plan.options.unit_scale ? 32768.0f : 1.0f, plan.options.window(), plan.fft,
                 plan.window.data(), plan.twiddles.data(), plan.triangles.data(), bins, room.data(), energies.data());
    for (int64_t l = 0; l < used; ++l)
      for (int b = 0; b < bins; ++b) out[(first + l) * bins + b] = std::log(std::max(energies[b * lanes + l], 1.1920929e-7f));
  }
}

std::vector<float> LogMel::operator()(std::span<const float> samples) const {
  std::vector<float> out(log_mel_frames(int64_t(samples.size()), plan_->options) * plan_->options.bins);
  compute(samples, out.data());
  return out;
}

std::vector<float> LogMelStream::accept(std::span<const float> samples) {
  kept_.insert(kept_.end(), samples.begin(), samples.end());
  std::vector<float> out = mel_(kept_);
  const int64_t frames = int64_t(out.size()) / mel_.options().bins;
  kept_.erase(kept_.begin(), kept_.begin() + frames * mel_.options().shift());
  frames_ += frames;
  return out;
}

}  // namespace alinea
