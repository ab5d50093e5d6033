#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/run_report.h"
#include "apps/trainer.h"
#include "engine/core/files.h"
#include "models/hub/model_directory.h"

namespace alinea {

namespace {

struct PlotOptions {
  CommonOptions common;
  std::vector<std::string> runs;
  std::string out = "report.html", split = "test";
  int64_t utterances = 6;
  double threshold = 0.5;
};

int plot(const PlotOptions& o) {
  Context& context = context_of(o.common);
  Report report{.title = "Alinea: " + std::filesystem::path(o.runs.back()).filename().string()};
  std::vector<std::pair<std::string, std::filesystem::path>> named;
  for (const std::string& run : o.runs) {
    require_data(RunDirectory::exists(run), "plot: {} is not a run directory", run);
    named.emplace_back(std::filesystem::path(run).filename().string(), run);
  }
  for (Chart& c : charts_of_runs(named))
    if (c.curves.size() > 1) report.charts.push_back(std::move(c));
  for (const std::string& run : o.runs) {
    for (Chart& c : charts_of_run(run)) report.charts.push_back(std::move(c));
  }
  const std::string& run = o.runs.back();
  report.config_json = read_file(std::filesystem::path(run) / "config.json");
  report.environment_json = read_file(std::filesystem::path(run) / "env.json");
  const auto path = model_path(run);
  const bool speech = model_type_of(path) == S2TConfig().model_type;
  const auto model = speech ? load_model(path, context) : nullptr;
  if (speech && model->config().streamable() && o.utterances > 0) {
    const Vocabulary target = Vocabulary::load(path / "vocab.tgt.txt");
    const SpeechDataset data = SpeechDataset::open(data_of_run(run), o.split);
    StreamOptions options{.threshold = o.threshold};
    if (!model->config().has_policy) options.policy = StreamOptions::Policy::offline;
    for (const int64_t i : telling_utterances(data, o.utterances, 9000)) report.utterances.push_back(streamed_utterance(*model, context, data, i, target, options));
  }
  write_atomically(o.out, render_report(report));
  note(o.common, "plot: wrote {}", o.out);
  return 0;
}

}  // namespace

void add_plot(Command program, Run& run) {
  auto o = std::make_shared<PlotOptions>();
  Command app = add_command(program, "plot", "curves, alignments and streamed utterances of runs as one self-contained HTML file",
                              "alinea plot runs/offline runs/emma -o report.html");
  add_common(app, o->common, Common::device);
  app.add_option("RUN", o->runs, "run directories; utterances are streamed by the last one").required();
  app.add_option("-o,--out", o->out, "the file");
  app.add_option("--split", o->split, "utterances from train, dev or test");
  app.add_option("--utterances", o->utterances, "how many; 0: none");
  app.add_option("--threshold", o->threshold, "EMMA's decision threshold");
  app.callback([o, &run] { run = [o] { return plot(*o); }; });
}

}  // namespace alinea
