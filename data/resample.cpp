#include "data/resample.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "engine/core/error.h"
#include "engine/core/parallel.h"

namespace alinea {
namespace {

constexpr double crossings = 32, roll_off = 0.94, beta = 10;

double bessel_i0(double x) {
  double sum = 1, term = 1;
  for (int k = 1; term > 1e-17 * sum; ++k) sum += term *= (x / (2 * k)) * (x / (2 * k));
  return sum;
}

// The filter at each of the `phases` places that an output sample can have between two input samples: taps [phases, width].
struct Filter {
  int64_t width;
  std::vector<float> taps;
};

Filter make_filter(int64_t phases, double cutoff) {
  const auto half = int64_t(std::ceil(crossings / cutoff));
  Filter f{2 * half, {}};
  const double scale = 1 / bessel_i0(beta);
  for (int64_t p = 0; p < phases; ++p)
    for (int64_t k = 0; k < f.width; ++k) {
      const double t = (double(p) / double(phases) - double(k - half + 1)) * cutoff, place = t / crossings;
      const double sinc = t == 0 ? 1 : std::sin(std::numbers::pi * t) / (std::numbers::pi * t);
      f.taps.push_back(float(std::abs(place) < 1 ? cutoff * sinc * bessel_i0(beta * std::sqrt(1 - place * place)) * scale : 0));
    }
  return f;
}

}  // namespace

Audio resample(const Audio& audio, int rate) {
  require(rate >= 1000 && rate <= 384000 && audio.rate >= 1000 && audio.rate <= 384000, "resample: from {} Hz to {} Hz; expected 1000 … 384000", audio.rate, rate);
  if (audio.rate == rate) return audio;
  const int64_t common = std::gcd(audio.rate, rate), up = rate / common, down = audio.rate / common;
  const Filter filter = make_filter(up, roll_off * std::min(1.0, double(rate) / audio.rate));
  const int64_t n = int64_t(audio.samples.size()), half = filter.width / 2;
  Audio out{std::vector<float>(size_t((n * up + down - 1) / down)), rate};
  parallel_for(int64_t(out.samples.size()), 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * down / up - half + 1;       // the input sample of tap 0
      const float* taps = filter.taps.data() + i * down % up * filter.width;
      double sum = 0;
      for (int64_t k = std::max<int64_t>(0, -first); k < filter.width && first + k < n; ++k) sum += double(audio.samples[size_t(first + k)]) * double(taps[k]);
      out.samples[size_t(i)] = float(sum);
    }
  });
  return out;
}

}  // namespace alinea
