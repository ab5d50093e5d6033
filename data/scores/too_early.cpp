#include "data/scores/too_early.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "engine/core/error.h"

namespace alinea {
namespace {

bool is_tens(std::string_view recording) {
  return recording.size() == 9 && recording.starts_with("digits/") && recording[7] >= '2' && recording[7] <= '9' && recording[8] == '0';
}

bool is_unit(std::string_view recording) {
  if (!recording.starts_with("digits/")) return false;
  recording.remove_prefix(7);
  if (recording.starts_with("h-")) recording.remove_prefix(2);
  return recording.size() == 1 && recording[0] >= '1' && recording[0] <= '9';
}

}  // namespace

TooEarly& TooEarly::operator+=(const TooEarly& other) {
  units += other.units;
  units_too_early += other.units_too_early;
  hours += other.hours;
  hours_guessed += other.hours_guessed;
  sentences_left_out += other.sentences_left_out;
  unit_delay_sum_ms += other.unit_delay_sum_ms;
  return *this;
}

TooEarly too_early(std::span<const HeardWord> heard, std::span<const std::string> target, std::span<const double> delays_ms) {
  require(target.size() == delays_ms.size(), "too_early: {} target words but {} delays; every word needs its own", target.size(),
          delays_ms.size());
  std::vector<const HeardWord*> unit_words, halves;  // halves of the day: a.m., p.m.
  for (size_t i = 0; i < heard.size(); ++i) {
    if (i > 0 && is_tens(heard[i - 1].recording) && is_unit(heard[i].recording)) unit_words.push_back(&heard[i]);
    if (heard[i].recording == "digits/a-m" || heard[i].recording == "digits/p-m") halves.push_back(&heard[i]);
  }
  std::vector<double> units_written, hours_written;
  bool in_hour = false, unmatched = false;
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] == "um") {
      in_hour = true;
      if (i + 1 < target.size()) hours_written.push_back(delays_ms[i + 1]);
    }
    if (target[i] == "Uhr") in_hour = false;
    if (target[i] != "und" || in_hour) continue;
    if (i > 0)
      units_written.push_back(delays_ms[i - 1]);
    else
      unmatched = true;
  }
  TooEarly t;
  unmatched |= units_written.size() != unit_words.size();
  t.sentences_left_out = unmatched;
  for (size_t k = 0; k < unit_words.size() && !unmatched; ++k) {
    ++t.units;
    t.units_too_early += units_written[k] < unit_words[k]->begin_ms;
    t.unit_delay_sum_ms += units_written[k] - unit_words[k]->end_ms;
  }
  for (size_t k = 0; k < std::min(halves.size(), hours_written.size()); ++k) {
    ++t.hours;
    t.hours_guessed += hours_written[k] < halves[k]->begin_ms;
  }
  return t;
}

}  // namespace alinea
