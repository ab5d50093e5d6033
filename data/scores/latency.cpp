#include "data/scores/latency.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "engine/core/error.h"

namespace alinea {

double average_lagging(std::span<const double> delays, double source_length, double reference_length) {
  if (delays[0] > source_length) return delays[0];
  double sum = 0;
  size_t t = 0;
  while (t < delays.size()) {
    sum += delays[t] - double(t) * source_length / reference_length;
    if (delays[t++] >= source_length) break;
  }
  return sum / double(t);
}

double length_adaptive_average_lagging(std::span<const double> delays, double source_length, double reference_length) {
  return average_lagging(delays, source_length, std::max(double(delays.size()), reference_length));
}

double average_proportion(std::span<const double> delays, double source_length, double reference_length) {
  double sum = 0;
  for (const double d : delays) sum += d;
  return sum / (source_length * reference_length);
}

double differentiable_average_lagging(std::span<const double> delays, double source_length) {
  const double step = source_length / double(delays.size());
  double held = delays[0], sum = delays[0];
  for (size_t t = 1; t < delays.size(); ++t) {
    held = std::max(delays[t], held + step);
    sum += held - double(t) * step;
  }
  return sum / double(delays.size());
}

double average_token_delay(std::span<const double> delays, std::span<const double> elapsed, AtdUnits units) {
  // A chunk is a run of equal delays: the words written together, and the source pieces read since the chunk before.
  std::vector<double> source_end = {0};     // end of source piece s at index s, as s counts from 1
  std::vector<size_t> sources_up_to = {0};  // source pieces before chunk c
  std::vector<size_t> words_up_to = {0};    // target words before chunk c
  std::vector<size_t> chunk_of(delays.size());
  double read = 0;
  for (size_t t = 0; t < delays.size(); ++t) {
    if (t == 0 || delays[t] != delays[t - 1]) {
      const double duration = delays[t] - read;
      read = delays[t];
      const double whole = std::floor(duration / units.source_piece), rest = duration - whole * units.source_piece;
      for (size_t k = 0; k < size_t(whole); ++k) source_end.push_back(source_end.back() + units.source_piece);
      if (rest > 0) source_end.push_back(source_end.back() + rest);
      sources_up_to.push_back(source_end.size() - 1);
      words_up_to.push_back(t);
    }
    chunk_of[t] = sources_up_to.size() - 2;
    words_up_to.back() = t + 1;
  }
  double end = 0, sum = 0, spent = 0;
  for (size_t t = 0; t < delays.size(); ++t) {
    const double spent_now = elapsed.empty() ? 0 : elapsed[t] - delays[t];
    end = std::max(delays[t], end) + units.target_word + (spent_now - spent);
    spent = spent_now;
    const size_t c = chunk_of[t], surplus = words_up_to[c] > sources_up_to[c] ? words_up_to[c] - sources_up_to[c] : 0;
    const size_t piece = std::min(t + 1 - surplus, sources_up_to[c + 1]);
    sum += end - source_end[piece];
  }
  return sum / double(delays.size());
}

std::array<std::pair<std::string_view, double>, 9> Latency::named() const {
  return {{{"AL", al},
           {"LAAL", laal},
           {"AP", ap},
           {"DAL", dal},
           {"ATD", atd},
           {"StartOffset", start_offset},
           {"EndOffset", end_offset},
           {"NumChunks", chunks},
           {"RTF", rtf}}};
}

std::optional<Latency> latency(std::span<const double> delays, double source_length, double reference_length,
                               std::span<const double> elapsed, AtdUnits units) {
  if (delays.empty()) return {};
  require_data(source_length > 0, "latency: the source has length {}; expected more than 0 (ms of audio, or words)", source_length);
  require_data(reference_length > 0, "latency: the reference has {} words; expected at least one", reference_length);
  require_data(elapsed.empty() || elapsed.size() == delays.size(), "latency: {} elapsed times for {} delays; expected as many",
               elapsed.size(), delays.size());
  for (size_t t = 0; t < delays.size(); ++t)
    require_data(delays[t] >= (t ? delays[t - 1] : 0), "latency: delay {} is {}, less than {} before it; delays never fall", t + 1,
                 delays[t], t ? delays[t - 1] : 0);
  const std::span<const double> times = elapsed.empty() ? delays : elapsed;
  Latency l;
  l.al = average_lagging(times, source_length, reference_length);
  l.laal = length_adaptive_average_lagging(times, source_length, reference_length);
  l.ap = average_proportion(times, source_length, reference_length);
  l.dal = differentiable_average_lagging(times, source_length);
  l.atd = average_token_delay(delays, elapsed, units);
  l.start_offset = times.front();
  l.end_offset = times.back() - source_length;
  l.chunks = double(times.size());
  l.rtf = times.back() / source_length;
  return l;
}

std::optional<Latency> mean_latency(std::span<const std::optional<Latency>> sentences) {
  constexpr double Latency::*measures[] = {&Latency::al,           &Latency::laal,       &Latency::ap,     &Latency::dal, &Latency::atd,
                                           &Latency::start_offset, &Latency::end_offset, &Latency::chunks, &Latency::rtf};
  Latency mean;
  double count = 0;
  for (const auto& one : sentences) {
    if (!one) continue;
    for (auto m : measures) mean.*m += (*one).*m;
    ++count;
  }
  if (count == 0) return {};
  for (auto m : measures) mean.*m /= count;
  return mean;
}

}  // namespace alinea
