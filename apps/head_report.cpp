#include "apps/head_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/common.h"

namespace alinea {

namespace {

using Json = nlohmann::ordered_json;

// The figures of one sentence. Relative l1 and retained mass always stand beside the mean error.
struct Figure {
  const char* name;
  double (*value)(const Analysis&, const Scores&);
};
constexpr Figure figures[] = {
    {"nnz", [](const Analysis& a, const Scores&) { return double(a.fit.nnz); }},
    {"share_of_cells", [](const Analysis& a, const Scores& s) { return double(a.fit.nnz) / double(s.cells()); }},
    {"l1", [](const Analysis& a, const Scores&) { return a.fit.l1; }},
    {"l1_per_cell", [](const Analysis& a, const Scores&) { return a.fit.per_cell; }},
    {"relative_l1", [](const Analysis& a, const Scores&) { return a.fit.relative_l1; }},
    {"frobenius", [](const Analysis& a, const Scores&) { return a.fit.frobenius; }},
    {"relative_frobenius", [](const Analysis& a, const Scores&) { return a.fit.relative_frobenius; }},
    {"retained_mass", [](const Analysis& a, const Scores&) { return a.fit.retained; }},
    {"retained_mass_worst_row", [](const Analysis& a, const Scores&) { return a.fit.worst; }},
    {"band_relative_l1", [](const Analysis& a, const Scores&) { return a.band.relative_l1; }},
    {"columns_relative_l1", [](const Analysis& a, const Scores&) { return a.with_columns.relative_l1; }},
    {"blocks_relative_l1", [](const Analysis& a, const Scores&) { return a.with_blocks.relative_l1; }},
    {"zero_relative_l1", [](const Analysis& a, const Scores&) { return a.baselines.zero.relative_l1; }},
    {"uniform_relative_l1", [](const Analysis& a, const Scores&) { return a.baselines.uniform.relative_l1; }},
    {"top_relative_l1", [](const Analysis& a, const Scores&) { return a.baselines.top.relative_l1; }},
    {"random_relative_l1", [](const Analysis& a, const Scores&) { return a.baselines.random.relative_l1; }},
    {"zero_relative_frobenius", [](const Analysis& a, const Scores&) { return a.baselines.zero.relative_frobenius; }},
    {"uniform_relative_frobenius", [](const Analysis& a, const Scores&) { return a.baselines.uniform.relative_frobenius; }},
    {"top_relative_frobenius", [](const Analysis& a, const Scores&) { return a.baselines.top.relative_frobenius; }},
    {"random_relative_frobenius", [](const Analysis& a, const Scores&) { return a.baselines.random.relative_frobenius; }},
    {"renormalised_l1", [](const Analysis& a, const Scores&) { return a.renormalised_l1.value_or(NAN); }},   // per row
};

struct Statistic {
  double mean = 0;
  std::optional<double> spread;                             // sample standard deviation; one sentence has none
};

Statistic statistic(const HeadReport& r, std::string_view name) {
  const auto figure = std::find_if(std::begin(figures), std::end(figures), [&](const Figure& f) { return f.name == name; });
  std::vector<double> values;
  for (size_t i = 0; i < r.analyses.size(); ++i) values.push_back(figure->value(r.analyses[i], r.head->scores[i]));
  Statistic s;
  for (const double v : values) s.mean += v / double(values.size());
  if (values.size() < 2) return s;
  double square = 0;
  for (const double v : values) square += (v - s.mean) * (v - s.mean);
  s.spread = std::sqrt(square / double(values.size() - 1));
  return s;
}

double largest_row_sum_error(const HeadReport& r) {
  double worst = 0;
  for (const Analysis& a : r.analyses) worst = std::max(worst, a.row_sum_error);
  return worst;
}

std::string shown(const HeadReport& r, std::string_view name, int digits) {
  const Statistic s = statistic(r, name);
  return s.spread ? fmt::format("{:.{}f} ± {:.{}f}", s.mean, digits, *s.spread, digits) : fmt::format("{:.{}f}", s.mean, digits);
}
std::string mean_of(const HeadReport& r, std::string_view name) { return fmt::format("{:.3f}", statistic(r, name).mean); }
std::string percent(std::optional<double> share) { return share ? fmt::format("{:.0f} %", 100 * *share) : "–"; }
std::string width_of(const HeadReport& r) { return fmt::format("{}{}", r.band.w, r.band.enough ? "" : "*"); }

std::string named(const std::vector<std::string>& names, int64_t i) { return names.empty() ? std::to_string(i) : fmt::format("{} {}", i, names[size_t(i)]); }

// One sentence's pattern, a line each.
std::string details_of(const HeadReport& r, const AnalysisPlan& plan) {
  const Analysis& a = r.analyses[0];
  const SentencePositions& p = *r.head->positions[0];
  std::string columns, blocks, entries;
  for (const int64_t j : a.columns) columns += (columns.empty() ? "" : ", ") + named(p.columns, j);
  for (const Block& b : a.blocks.blocks) blocks += (blocks.empty() ? "" : " ") + (b.end - b.begin == 1 ? std::to_string(b.begin) : fmt::format("{}–{}", b.begin, b.end - 1));
  for (const Entry& e : a.residual) entries += fmt::format("{}({}, {}) {:.4f}", entries.empty() ? "" : "  ", e.row, e.column, e.value);
  std::string text = fmt::format("\n{}: worst row {}, heaviest column {}\n  columns   {}\n", r.head->name, named(p.rows, a.fit.worst_row), named(p.columns, a.roles.top_column), columns.empty() ? "none" : columns);
  if (r.head->scores[0].square()) text += fmt::format("  blocks    {}{}\n", blocks, plan.options.largest_block > 0 ? "" : "   (not in the pattern without --blocks)");
  return text + fmt::format("  residual  {}\n", entries.empty() ? "none" : entries);
}

}  // namespace

HeadReport report_of(const HeadScores& head, const AnalysisPlan& plan) {
  HeadReport r{.head = &head, .curves = {}, .analyses = {}, .band = {}, .role = {}};
  for (const Scores& s : head.scores) r.curves.push_back(band_curve(s));
  AnalysisOptions options = plan.options;
  if (options.band < 0) {
    r.band = choose_band(r.curves, plan.mass, AnalysisPlan::largest_share);
  } else {
    r.band = {.w = options.band, .mass = 0, .share = 0, .enough = true};
    for (const BandCurve& c : r.curves) {
      r.band.mass += (1 - c.relative_l1(options.band)) / double(r.curves.size());
      r.band.share += double(c.cells[size_t(std::min(options.band, c.widest()))]) / double(c.cells.back()) / double(r.curves.size());
    }
  }
  options.band = r.band.w;
  std::vector<RoleCounts> counts;
  for (size_t i = 0; i < head.scores.size(); ++i) {
    r.analyses.push_back(analyze(head.scores[i], r.curves[i], options, head.positions[i]->rarity));
    counts.push_back(r.analyses.back().roles);
  }
  r.role = role_of(counts, r.curves);
  return r;
}

std::string tables_of(std::span<const HeadReport> reports, const ScoreSet& set, const AnalysisPlan& plan) {
  TextTable fit({{"X = P + E"}, {"W", true}, {"nnz", true}, {"of cells", true}, {"err1", true}, {"err1/n²", true}, {"relative l1", true}, {"rel. Frobenius", true}, {"retained mass", true}, {"worst row", true}});
  TextTable loss({{"relative l1"}, {"band", true}, {"+ columns", true}, {"+ blocks", true}, {"+ residual", true}, {"| top nnz", true}, {"random", true}, {"uniform", true}, {"zero", true}});
  TextTable roles({{"role"}, {""}, {"positional", true}, {"at offset", true}, {"column", true}, {"rare", true}, {"block gain", true}});
  const bool blocks = plan.options.largest_block > 0;
  bool cut = false, square = true;
  double row_sums = 0;
  for (const HeadReport& r : reports) {
    fit.row({r.head->name, width_of(r), shown(r, "nnz", r.analyses.size() > 1), percent(statistic(r, "share_of_cells").mean), shown(r, "l1", 3), fmt::format("{:.5f}", statistic(r, "l1_per_cell").mean),
             shown(r, "relative_l1", 3), shown(r, "relative_frobenius", 3), shown(r, "retained_mass", 3), shown(r, "retained_mass_worst_row", 3)});
    loss.row({r.head->name, mean_of(r, "band_relative_l1"), mean_of(r, "columns_relative_l1"), blocks ? mean_of(r, "blocks_relative_l1") : "–", mean_of(r, "relative_l1"), "| " + mean_of(r, "top_relative_l1"),
              mean_of(r, "random_relative_l1"), mean_of(r, "uniform_relative_l1"), mean_of(r, "zero_relative_l1")});
    roles.row({r.head->name, std::string(r.role.name), percent(r.role.positional), fmt::format("{:+}", r.role.offset), percent(r.role.column), percent(r.role.rare),
               r.role.block_gain ? fmt::format("{:+.3f}", *r.role.block_gain) : "–"});
    cut = cut || !r.band.enough;
    for (const Scores& s : r.head->scores) square = square && s.square();
    row_sums = std::max(row_sums, largest_row_sum_error(r));
  }
  std::string text = fit.text();
  if (cut) text += fmt::format("* keeps less than {}: a wider band would take more than half of the cells\n", plan.mass);
  if (!square) text += fmt::format("not square: offsets and bands count columns from the diagonal that runs {}\n", set.diagonal == Diagonal::index ? "through (i, i); --stretch runs it from corner to corner" : "from corner to corner");
  if (row_sums > row_sum_tolerance) text += fmt::format("rows do not all sum to 1 (up to {:.3g} off): retained mass is a share of each row's own sum\n", row_sums);
  text += "\n" + loss.text() + "\n" + roles.text();
  if (std::all_of(reports.begin(), reports.end(), [](const HeadReport& r) { return r.analyses.size() == 1; }))
    for (const HeadReport& r : reports) text += details_of(r, plan);
  return text;
}

// ---- JSON

namespace {

Json sentence_json(const HeadReport& r, size_t i) {
  const Analysis& a = r.analyses[i];
  const SentencePositions& p = *r.head->positions[i];
  Json j{{"id", p.id}, {"rows", r.head->scores[i].rows}, {"columns", r.head->scores[i].columns}};
  for (const Figure& f : figures) j[f.name] = f.value(a, r.head->scores[i]);
  j["worst_row"] = a.fit.worst_row;
  j["row_sum_error"] = a.row_sum_error;
  Json columns = Json::array(), blocks = Json::array(), residual = Json::array();
  for (const int64_t c : a.columns) {
    columns.push_back({{"column", c}});
    if (!p.columns.empty()) columns.back()["name"] = p.columns[size_t(c)];
  }
  for (const Block& b : a.blocks.blocks) blocks.push_back({b.begin, b.end});
  for (const Entry& e : a.residual) residual.push_back({e.row, e.column, e.value});
  j["pattern_columns"] = columns, j["blocks"] = blocks, j["residual"] = residual;
  return j;
}

// Mean over the sentences of an error that a band of every width leaves; short sentences have none left beyond their last width.
std::vector<double> mean_curve(const HeadReport& r, double (BandCurve::*error)(int64_t) const) {
  int64_t widest = 0;
  for (const BandCurve& c : r.curves) widest = std::max(widest, c.widest());
  std::vector<double> mean(size_t(widest + 1), 0.0);
  for (const BandCurve& c : r.curves)
    for (int64_t w = 0; w <= c.widest(); ++w) mean[size_t(w)] += (c.*error)(w) / double(r.curves.size());
  return mean;
}

Json role_json(const Role& role) {
  return {{"name", role.name}, {"positional_share", role.positional}, {"positional_offset", role.offset}, {"column_share", role.column},
          {"rare_share", role.rare ? Json(*role.rare) : Json()}, {"block_gain", role.block_gain ? Json(*role.block_gain) : Json()}};
}

Json head_json(const HeadReport& r, bool automatic) {
  Json mean, spread, sentences = Json::array();
  for (const Figure& f : figures) {
    const Statistic s = statistic(r, f.name);
    mean[f.name] = s.mean;
    spread[f.name] = s.spread ? Json(*s.spread) : Json();
  }
  for (size_t i = 0; i < r.analyses.size(); ++i) sentences.push_back(sentence_json(r, i));
  Json j{{"name", r.head->name}, {"layer", r.head->layer}, {"head", r.head->head}};
  if (!r.head->family.empty()) j["family"] = r.head->family;
  j["band"] = {{"w", r.band.w}, {"chosen_by", !automatic ? "--band" : r.band.enough ? "retained mass" : "half of the cells"}, {"retained_mass", r.band.mass}, {"share_of_cells", r.band.share}};
  j["role"] = role_json(r.role);
  j["rows_sum_to_one"] = largest_row_sum_error(r) <= row_sum_tolerance;
  j["mean"] = mean, j["spread"] = spread;
  j["band_curve"] = {{"relative_l1", mean_curve(r, &BandCurve::relative_l1)}, {"relative_frobenius", mean_curve(r, &BandCurve::relative_frobenius)}};
  j["sentences"] = sentences;
  return j;
}

}  // namespace

Json json_of(std::span<const HeadReport> reports, const ScoreSet& set, const AnalysisPlan& plan) {
  const AnalysisOptions& o = plan.options;
  Json heads = Json::array();
  for (const HeadReport& r : reports) heads.push_back(head_json(r, o.band < 0));
  return {{"source", set.source}, {"block", set.block}, {"diagonal", set.diagonal == Diagonal::index ? "index" : "stretched"}, {"columns", o.columns}, {"largest_block", o.largest_block}, {"residual", {{"entries", o.residual}, {"eps", o.eps}}}, {"heads", heads}};
}

// ---- pictures

namespace {

// A page can show so many rows and columns; of larger matrices it shows the corner where both begin.
constexpr int64_t largest_picture = 512;

HeadPicture picture_of(const HeadReport& r, const AnalysisPlan& plan) {
  const Scores& s = r.head->scores[0];
  const Analysis& a = r.analyses[0];
  const SentencePositions& p = *r.head->positions[0];
  const int64_t T = std::min(s.rows, largest_picture), S = std::min(s.columns, largest_picture);
  const bool whole = T == s.rows && S == s.columns;
  HeadPicture picture{.name = r.head->name, .role = std::string(r.role.name), .sentence = p.id + (whole ? "" : fmt::format(" (a corner of {} × {})", s.rows, s.columns)), .rows = T, .columns = S};
  for (int64_t i = 0; i < T; ++i) {
    const int64_t c = s.centre[size_t(i)], end = std::min(S, s.visible[size_t(i)]);
    for (int64_t j = 0; j < S; ++j) picture.weights.push_back(float(s.at(i, j)));
    picture.band.push_back({std::clamp<int64_t>(c - r.band.w, 0, end), std::clamp<int64_t>(c + r.band.w + 1, 0, end)});
  }
  if (!p.rows.empty()) picture.row_names.assign(p.rows.begin(), p.rows.begin() + T), picture.column_names.assign(p.columns.begin(), p.columns.begin() + S);
  for (const int64_t j : a.columns)
    if (j < S) picture.pattern_columns.push_back(j);
  if (plan.options.largest_block > 0)
    for (const Block& b : a.blocks.blocks)
      if (b.begin < T) picture.blocks.push_back({b.begin, std::min(b.end, T)});
  for (const Entry& e : a.residual)
    if (e.row < T && e.column < S) picture.residual.push_back({e.row, e.column});
  Chart& chart = picture.errors;
  chart = {"Error left by a band, mean over sentences", "half width w", "relative error", {{"relative l1", {}, mean_curve(r, &BandCurve::relative_l1)}, {"relative Frobenius", {}, mean_curve(r, &BandCurve::relative_frobenius)}}};
  for (Curve& c : chart.curves)
    for (size_t w = 0; w < c.y.size(); ++w) c.x.push_back(double(w));
  picture.facts = {{"half width W", r.band.enough ? std::to_string(r.band.w) : fmt::format("{}, half of the cells", r.band.w)}, {"stored numbers (nnz)", shown(r, "nnz", r.analyses.size() > 1)}, {"of the cells", percent(statistic(r, "share_of_cells").mean)}, {"err1", shown(r, "l1", 3)},
                   {"err1 / n²", fmt::format("{:.5f}", statistic(r, "l1_per_cell").mean)}, {"relative l1", shown(r, "relative_l1", 3)}, {"relative Frobenius", shown(r, "relative_frobenius", 3)},
                   {"retained mass", shown(r, "retained_mass", 3)}, {"retained mass, worst row", shown(r, "retained_mass_worst_row", 3)}, {"relative l1 of the band alone", mean_of(r, "band_relative_l1")},
                   {"… of equally many largest cells", mean_of(r, "top_relative_l1")}, {"… of equally many random cells", mean_of(r, "random_relative_l1")}, {"… of uniform rows", mean_of(r, "uniform_relative_l1")},
                   {"… of zero", mean_of(r, "zero_relative_l1")}, {"positional share", fmt::format("{} at {:+}", percent(r.role.positional), r.role.offset)}, {"column share", percent(r.role.column)},
                   {"rare share", percent(r.role.rare)}, {"block gain", r.role.block_gain ? fmt::format("{:+.3f}", *r.role.block_gain) : "–"}};
  return picture;
}

}  // namespace

Report page_of(std::span<const HeadReport> reports, const ScoreSet& set, const AnalysisPlan& plan) {
  Report page{.title = fmt::format("Attention structure: {} of {}", set.block, set.source)};
  double l1 = 0, retained = 0;
  for (const HeadReport& r : reports) {
    page.heads.push_back(picture_of(r, plan));
    l1 += statistic(r, "relative_l1").mean / double(reports.size()), retained += statistic(r, "retained_mass").mean / double(reports.size());
  }
  page.summary = {{"heads", std::to_string(reports.size())}, {"scores", set.block}, {"mean relative l1", fmt::format("{:.3f}", l1)}, {"mean retained mass", fmt::format("{:.3f}", retained)}};
  return page;
}

}  // namespace alinea
