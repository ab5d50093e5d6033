#include "apps/experiment.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/commands.h"
#include "apps/run_report.h"
#include "apps/text_evaluate.h"
#include "apps/trainer.h"
#include "engine/core/files.h"
#include "models/hub/model_directory.h"

namespace alinea {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

void add_settings(std::vector<std::pair<std::string, std::string>>& to, const Json& object, const std::string& place) {
  require(object.is_object(), "{}: \"set\" is not an object of dotted keys and values", place);
  for (const auto& [key, value] : object.items()) to.emplace_back(key, value.dump());
}

void refuse_other_keys(const Json& object, const std::set<std::string>& known, const std::string& place) {
  std::string names;
  for (const std::string& k : known) names += (names.empty() ? "" : ", ") + k;
  for (const auto& [key, value] : object.items()) require(known.count(key) > 0, "{}: there is no key '{}'; known are {}", place, key, names);
}

std::string text_at(const Json& object, const std::string& key, const std::string& place) {
  if (!object.contains(key)) return {};
  require(object[key].is_string(), "{}: \"{}\" is not a text", place, key);
  return object[key].get<std::string>();
}

}  // namespace

ExperimentFile ExperimentFile::load(const fs::path& path) {
  const std::string file = "experiment " + path.string();
  const Json json = Json::parse(read_file(path), nullptr, false, true);
  require(json.is_object(), "{}: this is not a JSON object; expected {{\"base\": …, \"cells\": [{{\"name\": …, \"set\": {{…}}}}, …]}}", file);
  refuse_other_keys(json, {"base", "data", "init", "set", "decoding", "cells"}, file);
  ExperimentFile e;
  require(json.contains("base") && json.contains("cells") && json["cells"].is_array() && !json["cells"].empty(), "{}: \"base\" (a configuration file) or \"cells\" (a list) is missing", file);
  e.base = path.parent_path() / text_at(json, "base", file);
  e.data = text_at(json, "data", file), e.init = text_at(json, "init", file);
  if (json.contains("decoding")) {
    Config decoding = Config::text(json["decoding"].dump(), file + ", decoding");
    e.decoding.fields(decoding);
    decoding.refuse_unread();
  }
  std::set<std::string> names;
  for (const Json& one : json["cells"]) {
    require(one.is_object(), "{}: a cell is not an object {{\"name\": …, \"set\": {{…}}}}", file);
    Cell cell{text_at(one, "name", file), {}};
    const std::string place = file + ", cell '" + cell.name + "'";
    require(!cell.name.empty() && cell.name.find('/') == std::string::npos && cell.name[0] != '.', "{}: a name is needed that can be the name of a folder", place);
    require(names.insert(cell.name).second, "{}: the name occurs twice", place);
    refuse_other_keys(one, {"name", "set"}, place);
    if (json.contains("set")) add_settings(cell.set, json["set"], file);
    if (one.contains("set")) add_settings(cell.set, one["set"], place);
    e.cells.push_back(std::move(cell));
  }
  return e;
}

namespace {

struct Stopped {
  int code;
};

class Experiment {
 public:
  Experiment(Context& context, const ExperimentFile& file, const fs::path& out, bool quiet) : context_(context), file_(file), out_(out), quiet_(quiet) {}

  int run() {
    make_folder(out_ / "cells");
    // All cells are looked at before the first is trained: a misspelt key in the last one is not found hours later.
    for (const auto& cell : file_.cells) refuse_changes(cell);
    for (const auto& cell : file_.cells) {
      results_.push_back(result_of(cell));
      write();
    }
    return std::any_of(results_.begin(), results_.end(), [](const CellResult& r) { return !r.diverged.empty(); }) ? int(Exit::failed) : 0;
  }

 private:
  fs::path folder(const std::string& cell) const { return out_ / "cells" / cell; }
  fs::path result_file(const std::string& cell) const { return out_ / "cells" / (cell + ".result.json"); }

  Config configuration(const ExperimentFile::Cell& cell) const {
    Config config = Config::file(file_.base);
    if (!file_.data.empty()) config.set("data", Json(file_.data.string()).dump());
    for (const auto& [key, value] : cell.set) config.set(key, value);
    return config;
  }

  void refuse_changes(const ExperimentFile::Cell& cell) {
    const Json now = {{"config", Json::parse(configuration(cell).dump())}, {"init", file_.init.string()}};
    check_configuration(configuration(cell), cell.name);
    const fs::path file = out_ / "cells" / (cell.name + ".settings.json");
    if (!fs::exists(file) || !fs::exists(folder(cell.name))) return write_atomically(file, now.dump(2) + "\n");
    require(nlohmann::json(Json::parse(read_file(file))) == nlohmann::json(now), "experiment: cell '{}' was begun with other settings ({}); remove {} to run it again, or choose another --out",
            cell.name, file.string(), (out_ / "cells" / cell.name).string() + "*");
  }

  void check_configuration(Config config, const std::string& cell) const {
    try {
      check_train_config(context_, config, file_.init);
    } catch (const Error& e) {
      fail(e.kind(), "experiment: cell '{}': {}", cell, e.what());
    }
  }

  CellResult result_of(const ExperimentFile::Cell& cell) {
    if (fs::exists(result_file(cell.name))) {
      say("── {}: finished before, reused", cell.name);
      return read_result(cell.name);
    }
    say("── {}: {} of {}", cell.name, results_.size() + 1, file_.cells.size());
    CellResult r{cell.name, {}, {}};
    context_.reset_peak();
    try {
      if (const int code = run_training(context_, configuration(cell), folder(cell.name), file_.init, quiet_)) throw Stopped{code};
      evaluate(r);
    } catch (const Error& e) {
      if (e.kind() != Exit::diverged) throw;
      r.diverged = e.what();
      say("{}", r.diverged);
    }
    write_result(r);
    return r;
  }

  void evaluate(CellResult& r) {
    const fs::path run = folder(r.name), path = model_path(run);
    const std::string data = data_of_run(run.string());
    if (is_text_model(model_type_of(path))) {
      const auto model = load_text_model(path, context_);
      const TextDataset test = TextDataset::open(data, "test", open_tokenizer(path));
      const TextScores s = score_text(translate_split(*model, test, file_.decoding, 0), test);
      r.values = {{"bleu", s.bleu}, {"chrf", s.chrf}, {"test_loss", text_loss(*model, test)}, {"dev_loss", text_loss(*model, TextDataset::open(data, "dev", open_tokenizer(path)))},
                  {"parameters", double(parameter_count(*model))}};
    } else {
      const auto model = load_model(path, context_);
      const SpeechDataset test = SpeechDataset::open(data, "test");
      const EvaluationScores s = score(decode(*model, context_, test, test.target_vocabulary(), {.offline = !model->config().has_policy}), test);
      r.values = {{"bleu", s.bleu}, {"exact_match", s.exact_match}, {"AL", s.al}, {"parameters", double(parameter_count(*model))}};
    }
    for (const auto& [name, value] : speed_of_run(run)) r.values[name] = value;
  }

  CellResult read_result(const std::string& name) const {
    const Json json = Json::parse(read_file(result_file(name)), nullptr, false);
    require_data(json.is_object() && json.contains("values"), "experiment: {} is damaged; remove it, and the cell is evaluated again", result_file(name).string());
    CellResult r{name, json.value("diverged", ""), {}};
    for (const auto& [key, value] : json["values"].items()) r.values[key] = value.is_number() ? value.get<double>() : std::nan("");
    return r;
  }

  static Json json_of(const CellResult& r) {
    Json values = Json::object();
    for (const auto& [key, value] : r.values) values[key] = value;
    return {{"name", r.name}, {"diverged", r.diverged}, {"values", values}};
  }
  void write_result(const CellResult& r) const { write_atomically(result_file(r.name), json_of(r).dump(2) + "\n"); }

  void write() const {
    Json all = Json::array();
    for (const CellResult& r : results_) all.push_back(json_of(r));
    write_atomically(out_ / "results.json", all.dump(2) + "\n");
    write_atomically(out_ / "results.md", table());
    write_report();
  }

  struct Column {
    const char *key, *head, *format;
  };
  static constexpr Column columns[] = {{"bleu", "BLEU", "{:.2f}"}, {"exact_match", "exact %", "{:.1f}"}, {"AL", "AL ms", "{:.0f}"}, {"dev_loss", "dev loss", "{:.3f}"}, {"test_loss", "test loss", "{:.3f}"},
                                       {"tokens_per_second", "tokens/s", "{:.0f}"}, {"peak_mb", "peak MB", "{:.0f}"}, {"parameters", "parameters", "{:.0f}"}};

  std::vector<Column> shown() const {
    std::vector<Column> some;
    for (const Column& c : columns)
      if (std::any_of(results_.begin(), results_.end(), [&](const CellResult& r) { return r.values.count(c.key) > 0; })) some.push_back(c);
    return some;
  }
  static std::string cell_text(const CellResult& r, const Column& c) {
    const auto it = r.values.find(c.key);
    return it == r.values.end() || !std::isfinite(it->second) ? (r.diverged.empty() ? "–" : "diverged") : fmt::format(fmt::runtime(c.format), it->second);
  }

  std::string table() const {
    std::string head = "| cell |", rule = "|---|", rows;
    for (const Column& c : shown()) head += fmt::format(" {} |", c.head), rule += "---:|";
    for (const CellResult& r : results_) {
      rows += fmt::format("| {} |", r.name);
      for (const Column& c : shown()) rows += fmt::format(" {} |", cell_text(r, c));
      rows += "\n";
    }
    return head + "\n" + rule + "\n" + rows;
  }

  void write_report() const {
    Report report{.title = "Alinea: " + fs::absolute(out_ / "").parent_path().filename().string()};
    std::vector<std::pair<std::string, fs::path>> runs;
    for (const CellResult& r : results_) {
      runs.emplace_back(r.name, folder(r.name));
      std::string text;
      for (const Column& c : shown()) text += fmt::format("{}{} {}", text.empty() ? "" : " · ", c.head, cell_text(r, c));
      report.summary.emplace_back(r.name, text);
    }
    report.charts = charts_of_runs(runs);
    report.config_json = read_file(runs[0].second / "config.json");
    report.environment_json = read_file(runs[0].second / "env.json");
    write_atomically(out_ / "report.html", render_report(report));
  }

  template <class... A>
  void say(fmt::format_string<A...> format, A&&... arguments) const {
    if (!quiet_) fmt::print(stderr, "{}\n", fmt::vformat(format, fmt::make_format_args(arguments...)));
  }

  Context& context_;
  const ExperimentFile& file_;
  fs::path out_;
  bool quiet_;
  std::vector<CellResult> results_;
};

struct ExperimentCommand {
  CommonOptions common;
  std::string file, out, data;
};

int experiment(const ExperimentCommand& o) {
  ExperimentFile file = ExperimentFile::load(o.file);
  if (!o.data.empty()) file.data = o.data;
  const int code = run_experiment(context_of(o.common), file, o.out, o.common.quiet);
  if (code <= 1) fmt::print("{}", read_file(fs::path(o.out) / (o.common.json ? "results.json" : "results.md")));
  return code;
}

}  // namespace

int run_experiment(Context& context, const ExperimentFile& file, const fs::path& out, bool quiet) {
  try {
    return Experiment(context, file, out, quiet).run();
  } catch (const Stopped& s) {
    return s.code;
  }
}

void add_experiment(Command program, Run& run) {
  auto o = std::make_shared<ExperimentCommand>();
  Command app = add_command(program, "experiment", "train and evaluate variants of one configuration side by side",
                              "alinea experiment configs/experiments/attention_ablation.json --data data-text --out runs/ablation");
  add_common(app, o->common, Common::device | Common::json);
  app.add_option("FILE", o->file, "base configuration and cells (JSON, comments allowed)").required();
  app.add_option("--out", o->out, "folder of the runs and results; finished cells there are not run again").required().type_name("DIR");
  app.add_option("--data", o->data, "prepared data directory, instead of the one in the file");
  app.callback([o, &run] { run = [o] { return experiment(*o); }; });
}

}  // namespace alinea
