#include "apps/run_report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/live.h"
#include "data/audio.h"
#include "engine/core/files.h"

namespace alinea {

namespace {

// Columns of a file of JSON lines: name -> (steps, values).
std::map<std::string, Curve> columns(const std::filesystem::path& file) {
  std::map<std::string, Curve> curves;
  if (!std::filesystem::exists(file)) return curves;
  const std::string text = read_file(file);
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const auto line = nlohmann::json::parse(text.begin() + int64_t(at), text.begin() + int64_t(end), nullptr, false);
    at = end + 1;
    if (!line.is_object() || !line.contains("step")) continue;   // a line that was being written when the process died
    for (const auto& [name, value] : line.items()) {
      if (name == "step" || !value.is_number()) continue;
      Curve& c = curves[name];
      c.name = name;
      c.x.push_back(line["step"].get<double>());
      c.y.push_back(value.get<double>());
    }
  }
  return curves;
}

void add_chart(std::vector<Chart>& charts, const std::map<std::string, Curve>& curves, const std::string& title, const std::string& y_label, const std::vector<std::string>& names) {
  Chart chart{title, "step", y_label, {}};
  for (const std::string& n : names) {
    const auto it = curves.find(n);
    if (it == curves.end()) continue;
    if (std::any_of(it->second.y.begin(), it->second.y.end(), [](double v) { return v != 0; })) chart.curves.push_back(it->second);
  }
  if (!chart.curves.empty()) charts.push_back(std::move(chart));
}

}  // namespace

std::vector<Chart> charts_of_run(const std::filesystem::path& run) {
  const std::string name = run.filename().string();
  const auto log = columns(run / "log.jsonl"), metrics = columns(run / "metrics.jsonl");
  std::vector<Chart> charts;
  add_chart(charts, log, name + ": training loss", "loss", {"loss", "cross_entropy", "frame", "contrastive", "diversity"});
  add_chart(charts, log, name + ": use of the codebooks", "perplexity", {"perplexity"});
  add_chart(charts, log, name + ": masked frames told from others", "percent", {"accuracy"});
  add_chart(charts, log, name + ": latency and variance of the alignment", "s, s²", {"latency_seconds", "variance_seconds2"});
  add_chart(charts, log, name + ": gradient norm", "norm", {"gradient_norm"});
  add_chart(charts, log, name + ": steps skipped for NaN or infinity", "steps", {"skipped"});
  add_chart(charts, metrics, name + ": validation loss", "loss", {"loss", "contrastive"});
  add_chart(charts, metrics, name + ": errors of recognition", "percent", {"wer", "cer", "train_wer", "train_cer"});
  add_chart(charts, metrics, name + ": validation quality", "percent, BLEU", {"exact_match", "bleu"});
  add_chart(charts, metrics, name + ": validation latency", "AL, ms", {"AL", "LAAL"});
  return charts;
}

std::vector<Chart> charts_of_runs(const std::vector<std::pair<std::string, std::filesystem::path>>& runs) {
  struct Kind {
    const char *file, *column, *title, *label;
  };
  std::vector<Chart> charts;
  const Kind kinds[] = {{"metrics.jsonl", "bleu", "validation BLEU", "BLEU"},
                        {"metrics.jsonl", "exact_match", "validation: exact", "percent"},
                        {"metrics.jsonl", "wer", "validation: word error rate", "percent"},
                        {"metrics.jsonl", "train_wer", "training utterances: word error rate", "percent"},
                        {"metrics.jsonl", "loss", "validation loss", "loss"},
                        {"log.jsonl", "loss", "training loss", "loss"},
                        {"speed.jsonl", "tokens_per_second", "speed", "tokens/s"}};
  for (const Kind& k : kinds) {
    Chart chart{k.title, "step", k.label, {}};
    for (const auto& [name, run] : runs) {
      auto curves = columns(run / k.file);
      const auto it = curves.find(k.column);
      if (it == curves.end()) continue;
      it->second.name = name;
      chart.curves.push_back(std::move(it->second));
    }
    if (!chart.curves.empty()) charts.push_back(std::move(chart));
  }
  return charts;
}

std::map<std::string, double> speed_of_run(const std::filesystem::path& run) {
  auto curves = columns(run / "speed.jsonl");
  std::map<std::string, double> values;
  if (auto& rate = curves["tokens_per_second"].y; !rate.empty()) {
    std::nth_element(rate.begin(), rate.begin() + int64_t(rate.size() / 2), rate.end());
    values["tokens_per_second"] = rate[rate.size() / 2];
  }
  if (const auto& peak = curves["peak_bytes"].y; !peak.empty()) values["peak_mb"] = *std::max_element(peak.begin(), peak.end()) / 1e6;
  return values;
}

StreamedUtterance streamed_utterance(S2TTransformer& model, Context& context, const SpeechDataset& data, int64_t index, const Vocabulary& target, const StreamOptions& options) {
  const Example example = data.load(index);
  const Audio audio = read_audio(data.audio_path(index));
  StreamedUtterance u{.id = example.id, .reference = example.tgt_text, .source_ms = example.source_ms, .audio = audio.samples, .rate = audio.rate,
                      .frames = example.frames, .bins = example.bins, .features = example.features, .ms_per_frame = 10};
  for (size_t i = 0; i < example.words.size() && i < example.word_spans.size(); ++i)
    u.source_words.push_back({data.source_vocabulary().word(example.words[i]), 1000.0 * example.word_spans[i].first, 1000.0 * example.word_spans[i].second});
  LiveTranslator live(model, context, options);
  auto events = live.accept(audio.samples);
  for (auto& e : live.finish()) events.push_back(std::move(e));
  std::vector<int32_t> tokens;
  std::string held;
  const bool shared = model.config().policy.heads == 1;
  for (const auto& [d, ms] : events) {
    if (!d.write) {
      if (!d.votes.empty() && d.token != Vocabulary::edge)
        held = fmt::format("layer {}{} p={:.2f}", d.slowest.layer + 1, shared ? "" : fmt::format(" head {}", d.slowest.head + 1), d.slowest.p);
      continue;
    }
    u.written.push_back({target.word(d.token), ms, d.votes.empty() ? std::nan("") : d.p, held});
    u.hypothesis += (u.hypothesis.empty() ? "" : " ") + target.word(d.token);
    tokens.push_back(d.token);
    held.clear();
  }
  if (!model.config().has_policy) return u;
  const int64_t step = model.config().frames_per_state(), F = (example.frames + step - 1) / step * step;
  std::vector<float> padded = example.features;
  padded.resize(size_t(F * example.bins), float(model.config().feature_padding));
  const auto alphas = model.alignments(context.from(padded.data(), {1, F, example.bins}), {int32_t(example.frames)}, tokens);
  for (size_t layer = 0; layer < alphas.size(); ++layer)
    for (int64_t h = 0; h < alphas[layer].size(1); ++h) {
      const Tensor a = alphas[layer].slice(1, h, h + 1).compact();
      const std::string name = fmt::format("Layer {}{}", layer + 1, shared ? "" : fmt::format(", head {}", h + 1));
      u.alignments.push_back({name, a.size(2), a.size(3), 1000 * model.seconds_per_decision(), a.values<float>()});
    }
  return u;
}

OperatingPoint operating_point(const std::string& system, const std::string& label, const EvaluationScores& s) { return {system, label, s.exact_match, s.bleu, s.al, s.laal}; }

std::vector<int64_t> telling_utterances(const SpeechDataset& data, int64_t count, double longest_ms) {
  std::map<std::string, int64_t> longest;                   // by kind
  for (int64_t i = 0; i < data.size(); ++i) {
    if (10.0 * double(data.length(i)) > longest_ms) continue;
    const auto it = longest.find(data.row(i).kind);
    if (it == longest.end() || data.length(i) > data.length(it->second)) longest[data.row(i).kind] = i;
  }
  std::vector<int64_t> all;
  for (const auto& [kind, i] : longest) all.push_back(i);
  std::sort(all.begin(), all.end(), [&](int64_t a, int64_t b) { return data.length(a) > data.length(b); });
  if (int64_t(all.size()) > count) all.resize(size_t(count));
  return all;
}

}  // namespace alinea
