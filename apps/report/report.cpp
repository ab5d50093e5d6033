#include "apps/report/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "apps/report/encode.h"
#include "apps/report/page.h"
#include "apps/report/page_json.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

using Json = nlohmann::ordered_json;
constexpr int64_t most_points = 1500;  // of one curve: more than a chart has pixels

void check_time(double ms, const std::string& place, std::string_view what) {
  require_data(std::isfinite(ms) && ms >= 0, "{}: {} is {} ms; give a finite time from 0 on", place, what, ms);
}

Json curve_json(const Curve& curve, const std::string& place) {
  require_data(curve.x.size() == curve.y.size(), "{}, curve '{}': {} x against {} y values; give one y for every x", place, curve.name,
               curve.x.size(), curve.y.size());
  for (size_t i = 0; i < curve.x.size(); ++i)
    require_data(std::isfinite(curve.x[i]) && (i == 0 || curve.x[i] >= curve.x[i - 1]),
                 "{}, curve '{}': x[{}] = {}; x must be finite and must not fall", place, curve.name, i, curve.x[i]);
  const Curve thinned = thin(curve, most_points);
  Json y = Json::array();
  for (double v : thinned.y) y.push_back(page_number(v));
  return {{"name", curve.name}, {"x", thinned.x}, {"y", std::move(y)}};
}

}  // namespace

Json page_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return std::stod(fmt::format("{:.6g}", value));
}

Json chart_json(const Chart& chart) {
  Json curves = Json::array();
  for (const Curve& c : chart.curves) curves.push_back(curve_json(c, fmt::format("report, chart '{}'", chart.title)));
  return {{"title", chart.title}, {"x_label", chart.x_label}, {"y_label", chart.y_label}, {"curves", std::move(curves)}};
}

namespace {

Json words_json(const StreamedUtterance& u, const std::string& place) {
  Json words = Json::array();
  for (const auto& w : u.source_words) {
    const std::string name = fmt::format("{}, source word '{}'", place, w.text);
    check_time(w.begin_ms, name, "its begin");
    check_time(w.end_ms, name, "its end");
    require_data(w.end_ms >= w.begin_ms, "{}: it ends at {} ms, before its begin at {} ms", name, w.end_ms, w.begin_ms);
    words.push_back({{"text", w.text}, {"begin", page_number(w.begin_ms)}, {"end", page_number(w.end_ms)}});
  }
  return words;
}

Json written_json(const StreamedUtterance& u, const std::string& place) {
  Json words = Json::array();
  for (const auto& w : u.written) {
    check_time(w.at_ms, fmt::format("{}, written word '{}'", place, w.text), "its time");
    words.push_back({{"text", w.text}, {"at", page_number(w.at_ms)}, {"p", page_number(w.p)}, {"held_by", w.held_by}});
  }
  return words;
}

void check_alignment(const StreamedUtterance::Alignment& a, const std::string& place) {
  require_data(a.rows >= 0 && a.columns >= 0 && static_cast<int64_t>(a.weights.size()) == a.rows * a.columns,
               "{}, alignment '{}': {} weights for {} rows × {} columns; give rows · columns of them", place, a.name, a.weights.size(),
               a.rows, a.columns);
  require_data(std::isfinite(a.ms_per_column) && a.ms_per_column > 0, "{}, alignment '{}': ms_per_column is {}; it must be above 0", place,
               a.name, a.ms_per_column);
  for (size_t i = 0; i < a.weights.size(); ++i)
    require_data(std::isfinite(a.weights[i]) && a.weights[i] >= 0,
                 "{}, alignment '{}': the weight at row {}, column {} is {}; weights must be finite and not negative", place, a.name,
                 static_cast<int64_t>(i) / a.columns, static_cast<int64_t>(i) % a.columns, a.weights[i]);
}

/// All heads of an utterance share one scale, so that their colours can be compared.
Json alignments_json(const StreamedUtterance& u, const std::string& place) {
  float largest = 0;
  for (const auto& a : u.alignments) {
    check_alignment(a, place);
    for (float w : a.weights) largest = std::max(largest, w);
  }
  Json maps = Json::array();
  for (const auto& a : u.alignments)
    maps.push_back({{"name", a.name},
                    {"rows", a.rows},
                    {"columns", a.columns},
                    {"ms_per_column", a.ms_per_column},
                    {"largest", page_number(largest)},
                    {"bytes", base64(quantise(a.weights, 0, largest).bytes)}});
  return maps;
}

Json features_json(const StreamedUtterance& u, const std::string& place) {
  require_data(u.frames >= 0 && u.bins >= 0 && static_cast<int64_t>(u.features.size()) == u.frames * u.bins,
               "{}: {} feature values for {} frames × {} bins; give frames · bins of them", place, u.features.size(), u.frames, u.bins);
  require_data(u.frames == 0 || (std::isfinite(u.ms_per_frame) && u.ms_per_frame > 0), "{}: ms_per_frame is {}; it must be above 0", place,
               u.ms_per_frame);
  for (size_t i = 0; i < u.features.size(); ++i)
    require_data(std::isfinite(u.features[i]), "{}: the feature at frame {}, bin {} is {}; features must be finite", place,
                 static_cast<int64_t>(i) / u.bins, static_cast<int64_t>(i) % u.bins, u.features[i]);
  // A few silent or clipped frames must not take the contrast from all others.
  const auto q = quantise(u.features, quantile(u.features, 0.02), quantile(u.features, 0.999));
  return {{"frames", u.frames},   {"bins", u.bins},         {"ms_per_frame", u.ms_per_frame},
          {"low", page_number(q.low)}, {"high", page_number(q.high)}, {"bytes", base64(q.bytes)}};
}

Json utterance_json(const StreamedUtterance& u, size_t index) {
  const std::string place = fmt::format("report, utterance {} ('{}')", index, u.id);
  check_time(u.source_ms, place, "source_ms");
  require_data(u.audio.empty() || u.rate > 0, "{}: the sample rate is {}; it must be above 0", place, u.rate);
  for (size_t i = 0; i < u.audio.size(); ++i)
    require_data(std::isfinite(u.audio[i]), "{}: sample {} is {}; samples must be finite", place, i, u.audio[i]);
  Json out{{"id", u.id}, {"reference", u.reference}, {"hypothesis", u.hypothesis}, {"source_ms", page_number(u.source_ms)}};
  out["features"] = features_json(u, place);
  out["source_words"] = words_json(u, place);
  out["written"] = written_json(u, place);
  out["alignments"] = alignments_json(u, place);
  out["audio"] = u.audio.empty() ? Json() : Json("data:audio/wav;base64," + base64(wav_bytes(u.audio, u.rate)));
  return out;
}

Json point_json(const OperatingPoint& p) {
  for (double quality : {p.exact_match, p.bleu})
    require_data(std::isnan(quality) || (quality >= 0 && quality <= 100),
                 "report, operating point '{} {}': a quality of {}; exact match and BLEU lie in 0…100 (NaN: not measured)", p.system,
                 p.label, quality);
  return {{"system", p.system},     {"label", p.label},      {"exact_match", page_number(p.exact_match)},
          {"bleu", page_number(p.bleu)}, {"al", page_number(p.al_ms)}, {"laal", page_number(p.laal_ms)}};
}

Json parsed(const std::string& text, std::string_view name) {
  if (text.empty()) return nullptr;
  Json value = Json::parse(text, nullptr, false);
  require_data(!value.is_discarded(), "report: {} is not JSON; give one JSON value, or an empty text", name);
  return value;
}

/// JSON that no HTML parser can leave by accident: `<`, `>` and `&` only occur inside strings, where an escape means the same.
std::string safe_dump(const Json& value, const std::string& place) {
  std::string plain, out;
  try {
    plain = value.dump();
  } catch (const nlohmann::json::type_error& error) {
    fail(Exit::data, "{}: a text is not valid UTF-8; convert it first ({})", place, error.what());
  }
  out.reserve(plain.size());
  for (char c : plain) {
    if (c == '<' || c == '>' || c == '&')
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out.push_back(c);
  }
  return out;
}

std::string list(const std::vector<std::string>& items) {
  std::string out = "[";
  for (size_t i = 0; i < items.size(); ++i) out += (i ? ",\n" : "") + items[i];
  return out + "]";
}

std::string data_json(const Report& r) {
  std::vector<std::string> charts, utterances, points, heads, summary;
  for (const Chart& c : r.charts) charts.push_back(safe_dump(chart_json(c), fmt::format("report, chart {}", charts.size())));
  for (size_t i = 0; i < r.utterances.size(); ++i)
    utterances.push_back(safe_dump(utterance_json(r.utterances[i], i), fmt::format("report, utterance {}", i)));
  for (const OperatingPoint& p : r.points) points.push_back(safe_dump(point_json(p), fmt::format("report, point {}", points.size())));
  for (size_t i = 0; i < r.heads.size(); ++i) heads.push_back(safe_dump(head_json(r.heads[i], i), fmt::format("report, head {}", i)));
  for (const auto& [name, value] : r.summary)
    summary.push_back(safe_dump(Json::array({name, value}), fmt::format("report, summary row {}", summary.size())));
  return fmt::format(
      "{{\"title\":{},\n\"summary\":{},\n\"points\":{},\n\"charts\":{},\n\"config\":{},\n\"environment\":{},\n\"heads\":{},\n\"utterances\":{}}}",
      safe_dump(r.title, "report, title"), list(summary), list(points), list(charts),
      safe_dump(parsed(r.config_json, "config_json"), "report, config_json"),
      safe_dump(parsed(r.environment_json, "environment_json"), "report, environment_json"), list(heads), list(utterances));
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

/// Fills the {{marks}} of the template in one pass, so a mark inside a filled-in text stays text.
std::string fill(std::string_view page, const std::vector<std::pair<std::string_view, std::string>>& values) {
  std::string out;
  while (true) {
    const size_t open = page.find("{{");
    out += page.substr(0, open);
    if (open == std::string_view::npos) return out;
    const size_t close = page.find("}}", open);
    require(close != std::string_view::npos, "report.html: a mark is not closed: '{}'", page.substr(open, 40));
    const std::string_view name = page.substr(open + 2, close - open - 2);
    const auto it = std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.first == name; });
    require(it != values.end(), "report.html: unknown mark '{}'", name);
    out += it->second;
    page.remove_prefix(close + 2);
  }
}

}  // namespace

std::string render_report(const Report& report) {
  std::string script;
  for (std::string_view part : {report_kit_js, report_plots_js, report_stream_js, report_heads_js, report_js}) script += part;
  std::string data = data_json(report);  // before the title is used, so that bad UTF-8 in it is refused
  return fill(report_html,
              {{"title", escape_html(report.title)}, {"style", std::string(report_css)}, {"data", std::move(data)}, {"script", script}});
}

}  // namespace alinea
