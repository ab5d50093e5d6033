// From runs to a report: curves from their logs, streamed utterances with alignments, operating points.
#pragma once
#include <filesystem>
#include <map>

#include "apps/evaluate.h"
#include "apps/report/report.h"

namespace alinea {

/// Loss and validation charts of one run, titles prefixed with its name.
std::vector<Chart> charts_of_run(const std::filesystem::path& run);

/// The same quantities of several runs side by side: one chart each, one curve per run.
std::vector<Chart> charts_of_runs(const std::vector<std::pair<std::string, std::filesystem::path>>& runs);

/// tokens_per_second (median of the log) and peak_mb of a run; what was not logged is missing.
std::map<std::string, double> speed_of_run(const std::filesystem::path& run);

/// One utterance of a split, streamed, with its sound, features, words, decisions and alignments.
StreamedUtterance streamed_utterance(S2TTransformer& model, Context& context, const SpeechDataset& data, int64_t index, const Vocabulary& target, const StreamOptions& options);

OperatingPoint operating_point(const std::string& system, const std::string& label, const EvaluationScores& scores);

/// Utterances that show the most: several kinds, the longest of each that fit `longest_ms`.
std::vector<int64_t> telling_utterances(const SpeechDataset& data, int64_t count, double longest_ms);

}  // namespace alinea
