// Latency of simultaneous translation, equal to SimulEval (Ma et al., EMNLP 2020 demos; version 1.1.4).
//
// D_1..D_n: how much of the source had been read when each target word was written: milliseconds of audio, or words of text.
// X: length of the source in the same unit. R: length of the reference in words. A corpus score is the plain mean over the sentences that
// wrote something.
//
//   AL    (1/τ) Σ_{t=1..τ} (D_t − (t−1)·X/R), τ: first t with D_t ≥ X, else n; D_1 if D_1 > X        Ma et al., ACL 2019 (STACL), eq. 8
//   LAAL  AL with max(n, R) in place of R, so writing too much is not rewarded                        Papi et al., AutoSimTrans 2022
//   AP    Σ D_t / (X·R)                                                                               Cho and Esipova, 2016
//   DAL   (1/n) Σ (D'_t − (t−1)·X/n), D'_1 = D_1, D'_t = max(D_t, D'_{t−1} + X/n)                     Cherry and Foster, 2019
//   ATD   mean over t of (end of target word t − end of the source piece it answers to)               Kano et al., Interspeech 2023
//   StartOffset D_1 · EndOffset D_n − X · NumChunks n · RTF D_n / X
//
// Computation-aware scores put elapsed times (D_t plus the wall-clock time spent) in place of D; ATD takes both.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace alinea {

/// ATD cuts the source in pieces of this length, and lets every target word last this long. The defaults are speech to text, in ms.
struct AtdUnits {
  double source_piece = 300, target_word = 0;
  static AtdUnits speech_to_text() { return {300, 0}; }
  static AtdUnits text_to_text() { return {1, 1}; }
  static AtdUnits speech_to_speech() { return {300, 300}; }
};

double average_lagging(std::span<const double> delays, double source_length, double reference_length);
double length_adaptive_average_lagging(std::span<const double> delays, double source_length, double reference_length);
double average_proportion(std::span<const double> delays, double source_length, double reference_length);
double differentiable_average_lagging(std::span<const double> delays, double source_length);
/// `elapsed` empty: no computation time.
double average_token_delay(std::span<const double> delays, std::span<const double> elapsed, AtdUnits units);

struct Latency {
  double al = 0, laal = 0, ap = 0, dal = 0, atd = 0, start_offset = 0, end_offset = 0, chunks = 0, rtf = 0;
  /// Names as SimulEval prints them: AL LAAL AP DAL ATD StartOffset EndOffset NumChunks RTF.
  std::array<std::pair<std::string_view, double>, 9> named() const;
};

/// All measures of one sentence; `elapsed` given: computation-aware. Nothing when no word was written.
/// Errors (data): source or reference of length 0, negative or falling delays, elapsed of another length.
std::optional<Latency> latency(std::span<const double> delays, double source_length, double reference_length,
                               std::span<const double> elapsed = {}, AtdUnits units = {});

/// Mean over the sentences that wrote something (nothing when none did).
std::optional<Latency> mean_latency(std::span<const std::optional<Latency>> sentences);

}  // namespace alinea
