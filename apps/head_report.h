// The analysis of many heads over many sentences: statistics, tables, JSON, pictures.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <span>

#include "apps/attention_scores.h"
#include "apps/report/report.h"
#include "nn/analysis/analysis.h"

namespace alinea {

struct HeadReport {
  const HeadScores* head = nullptr;
  std::vector<BandCurve> curves;                            // one per sentence, as the next
  std::vector<Analysis> analyses;
  ChosenBand band;
  Role role;
};

/// options.band < 0: chosen for every head, so that it keeps `mass` but takes at most half of the cells.
struct AnalysisPlan {
  AnalysisOptions options;
  double mass = 0.9;
  static constexpr double largest_share = 0.5;
};

HeadReport report_of(const HeadScores& head, const AnalysisPlan& plan);

/// Tables for people: what the pattern costs and loses, what the same number of cells loses otherwise, roles. With one sentence the
/// pattern itself is listed.
std::string tables_of(std::span<const HeadReport> reports, const ScoreSet& set, const AnalysisPlan& plan);

/// Means and sample deviations per head, and every sentence with its columns, blocks and residual (row, column, value).
nlohmann::ordered_json json_of(std::span<const HeadReport> reports, const ScoreSet& set, const AnalysisPlan& plan);

/// A page: per head the first sentence as a heat map with the pattern on it, the mean error of every band, and the figures.
Report page_of(std::span<const HeadReport> reports, const ScoreSet& set, const AnalysisPlan& plan);

}  // namespace alinea
