// SimulEval's instance log: a folder with `instances.log` (one JSON object per line) and `config.yaml`, so that `simuleval --score-only
// --output FOLDER` scores what was decoded here, and what SimulEval decoded can be scored here.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/scores/latency.h"

namespace alinea {

struct SimulInstance {
  int64_t index = 0;
  std::string prediction;       // detokenised words, separated by single spaces
  std::vector<double> delays;   // per target unit: ms of audio, or source words
  std::vector<double> elapsed;  // ms: delay plus computation; zeros for text sources
  std::string reference;
  std::vector<std::string> source;  // speech: file name and properties; text: the sentence as the only entry
  double source_length = 0;         // ms, or words
};

struct SimulLog {
  std::string source_type = "speech", target_type = "text";  // "speech" or "text"
  std::vector<SimulInstance> instances;                      // indices 0, 1, …
};

/// What counts as one target unit, for delays and for the length of the reference.
enum class LatencyUnit { word, character };

/// Units in a reference as SimulEval counts them: pieces between single spaces, or characters of the stripped text, spaces included.
int64_t reference_length(std::string_view reference, LatencyUnit unit);

/// Error (data) names file, line and key when a line is not JSON, lacks a key, or has delays that don't fit the prediction.
SimulLog read_simuleval_log(const std::filesystem::path& folder);

/// Makes the folder when missing. Error (data): indices that don't count from 0.
void write_simuleval_log(const std::filesystem::path& folder, const SimulLog& log);

/// Corpus latency of a log (mean over instances that wrote something).
std::optional<Latency> score_latency(const SimulLog& log, LatencyUnit unit, bool computation_aware, AtdUnits units);

}  // namespace alinea
