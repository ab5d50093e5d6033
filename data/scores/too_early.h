// Does a system that translates spoken English numbers and times into German wait for the word that decides what to write?
//
// Unit digits. German says the unit first: "twenty seven" -> "sieben und zwanzig". A unit word is a recording digits/1..9 or
// digits/h-1..h-9 (seventh) right after digits/20..90. The k-th unit word belongs to the k-th "und" of the target, and the word before that
// "und" is the unit digit. It is too early when it was written before its unit word began to sound. "und" inside an hour (between "um" and
// "Uhr") belongs to the 24-hour clock and is not counted. A sentence whose numbers of "und" and of unit words differ can't be matched: it
// is left out and reported.
//
// Hours. "ten forty five p.m." -> "um zwei und zwanzig Uhr fünf und vierzig": the hour is known only at digits/a-m or digits/p-m. The k-th
// of those recordings belongs to the k-th "um". The hour was guessed when the word after "um" was written before that recording began to
// sound.
#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace alinea {

struct HeardWord {
  std::string recording;            // "digits/20", "digits/7", "digits/a-m"
  double begin_ms = 0, end_ms = 0;  // within the audio; where only ends are known, begin is the end of the word before
};

struct TooEarly {
  int64_t units = 0, units_too_early = 0, hours = 0, hours_guessed = 0;
  int64_t sentences_left_out = 0;  // unit digits could not be matched
  double unit_delay_sum_ms = 0;    // Σ (written − end of the unit word)
  double units_percent() const { return units ? 100.0 * double(units_too_early) / double(units) : 0; }
  double hours_percent() const { return hours ? 100.0 * double(hours_guessed) / double(hours) : 0; }
  double unit_delay_ms() const { return units ? unit_delay_sum_ms / double(units) : 0; }
  TooEarly& operator+=(const TooEarly& other);
};

/// One sentence; `delays_ms[i]` is how much audio had been read when target word i was written. Error (usage): other than one delay per
/// word.
TooEarly too_early(std::span<const HeardWord> heard, std::span<const std::string> target, std::span<const double> delays_ms);

}  // namespace alinea
