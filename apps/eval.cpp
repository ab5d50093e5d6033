#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/decoding_options.h"
#include "apps/evaluate.h"
#include "apps/run_directory.h"
#include "apps/sound_evaluate.h"
#include "apps/task.h"
#include "apps/text_evaluate.h"
#include "engine/core/files.h"
#include "models/hub/model_directory.h"

namespace alinea {

namespace {

struct EvalOptions {
  CommonOptions common;
  DecodingOptions decoding;
  std::vector<double> thresholds{0.5};
  std::string run, data, split = "test", out;
  int64_t limit = 0;
  bool last = false;
};

struct System {
  std::string name;
  EvaluationOptions options;
};

std::vector<System> systems(const EvalOptions& o, bool has_policy) {
  const std::string policy = o.decoding.policy == "auto" ? (has_policy ? "emma" : "offline") : o.decoding.policy;
  std::vector<System> all;
  for (size_t at = 0; at <= policy.size();) {               // several, separated by commas
    const size_t end = std::min(policy.find(',', at), policy.size());
    const std::string one = policy.substr(at, end - at);
    EvaluationOptions e{.stream = o.decoding.stream_options(one), .limit = o.limit};
    e.offline = e.stream.policy == StreamOptions::Policy::offline;
    if (one != "emma") all.push_back({one, e});
    else
      for (const double t : o.thresholds) {
        e.stream.threshold = t;
        all.push_back({fmt::format("emma @{}", t), e});
      }
    at = end + 1;
  }
  return all;
}

std::string data_folder(const EvalOptions& o) {
  require(!o.data.empty() || RunDirectory::exists(o.run), "eval: give --data DIR for a model directory");
  return !o.data.empty() ? o.data : data_of_run(o.run);
}

double seconds_since(std::chrono::steady_clock::time_point begin) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }

// What was written for a test set, with its scores: to a folder, and as JSON or a table.
int report_text(const EvalOptions& o, const GenerationConfig& decoding, const std::vector<std::string>& hypotheses, const TextScores& s, double loss, double seconds) {
  const std::string system = decoding.num_beams == 1 ? "greedy" : fmt::format("beam {}", decoding.num_beams);
  const nlohmann::ordered_json row = {{"system", system}, {"sentences", hypotheses.size()}, {"bleu", s.bleu}, {"bleu_signature", s.bleu_signature}, {"chrf", s.chrf}, {"chrf_signature", s.chrf_signature},
                                      {"loss", loss}, {"perplexity", std::exp(loss)}, {"sentences_per_second", double(hypotheses.size()) / seconds}};
  if (!o.out.empty()) {
    const std::filesystem::path folder = std::filesystem::path(o.out) / system;
    make_folder(folder);
    std::string text;
    for (const std::string& h : hypotheses) text += h + "\n";
    write_atomically(folder / "hypotheses.txt", text);
    write_atomically(folder / "scores.json", row.dump(1) + "\n");
  }
  if (o.common.json) return print_json(nlohmann::ordered_json::array({row})), 0;
  TextTable table({{"system"}, {"sentences", true}, {"BLEU", true}, {"chrF2", true}, {"loss", true}, {"sentences/s", true}});
  table.row({system, std::to_string(hypotheses.size()), fmt::format("{:.2f}", s.bleu), fmt::format("{:.2f}", s.chrf), fmt::format("{:.3f}", loss), fmt::format("{:.0f}", double(hypotheses.size()) / seconds)});
  fmt::print("{}{}\n", table.text(), s.bleu_signature);
  return 0;
}

int eval_text(const EvalOptions& o, const std::filesystem::path& path, Context& context) {
  o.decoding.refuse_speech_options();
  const auto model = load_text_model(path, context, o.decoding.matrices());
  const TextDataset data = TextDataset::open(data_folder(o), o.split, open_tokenizer(path));
  const GenerationConfig decoding = o.decoding.text_config(text_settings(path));
  const auto begin = std::chrono::steady_clock::now();
  const auto hypotheses = translate_split(*model, data, decoding, o.limit);
  const double seconds = seconds_since(begin);
  return report_text(o, decoding, hypotheses, score_text(hypotheses, data), text_loss(*model, data), seconds);
}

// Speech by a model of Hugging Face's parts; the time includes the teacher-forced loss.
template <class Model>
int eval_sounds(const EvalOptions& o, const std::filesystem::path& path, Context& context, Model& model) {
  o.decoding.refuse_speech_options();
  const auto tokenizer = open_tokenizer(path);
  const WaveDataset data = WaveDataset::open(data_folder(o), o.split, {.min_seconds = 0, .max_seconds = 1e6, .transcribed = true, .features = FeatureExtractor::open(path)});
  const GenerationConfig decoding = o.decoding.text_config(text_settings(path));
  const auto begin = std::chrono::steady_clock::now();
  const SoundScores s = evaluate_sounds(model, context, data, *tokenizer, decoding, o.limit);
  return report_text(o, decoding, s.hypotheses, s.text, s.loss, seconds_since(begin));
}

int eval(const EvalOptions& o) {
  Context& context = context_of(o.common);
  const auto path = model_path(o.run, !o.last);
  const std::string type = model_type_of(path);
  if (is_text_model(type)) return eval_text(o, path, context);
  if (type == SpeechEncoderDecoderConfig().model_type) return eval_sounds(o, path, context, *load_speech_translation(path, context, o.decoding.matrices()));
  if (type == "speech_to_text") return eval_sounds(o, path, context, *load_model(path, context, o.decoding.matrices()));
  o.decoding.refuse_text_options();
  const auto model = load_model(path, context);
  const Vocabulary target = Vocabulary::load(path / "vocab.tgt.txt");
  const SpeechDataset data = SpeechDataset::open(data_folder(o), o.split);
  TextTable table({{"system"}, {"exact %", true}, {"BLEU", true}, {"AL ms", true}, {"LAAL ms", true}, {"AP", true}, {"DAL ms", true}, {"ATD ms", true}, {"too early %", true}, {"hour guessed %", true}});
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const System& system : systems(o, model->config().has_policy)) {
    const auto instances = decode(*model, context, data, target, system.options);
    const EvaluationScores s = score(instances, data);
    if (!o.out.empty()) write_evaluation(o.out + "/" + system.name, instances, s, system.options);
    table.row({system.name, fmt::format("{:.1f}", s.exact_match), fmt::format("{:.1f}", s.bleu), fmt::format("{:.0f}", s.al), fmt::format("{:.0f}", s.laal), fmt::format("{:.3f}", s.ap),
               fmt::format("{:.0f}", s.dal), fmt::format("{:.0f}", s.atd), fmt::format("{:.1f}", s.unit_too_early), fmt::format("{:.1f}", s.hour_guessed)});
    rows.push_back({{"system", system.name}, {"sentences", instances.size()}, {"exact_match", s.exact_match}, {"bleu", s.bleu}, {"bleu_signature", s.bleu_signature}, {"AL", s.al}, {"LAAL", s.laal},
                    {"AP", s.ap}, {"DAL", s.dal}, {"ATD", s.atd}, {"unit_digits_too_early_percent", s.unit_too_early}, {"unit_digits", s.units}, {"hours_guessed_percent", s.hour_guessed}, {"hours", s.hours}});
    note(o.common, "eval: {} done", system.name);
  }
  if (o.common.json) print_json(rows);
  else fmt::print("{}", table.text());
  return 0;
}

}  // namespace

std::string data_of_run(const std::string& run) {
  Config file = Config::file(std::filesystem::path(run) / "config.json");
  std::string data;
  file.field("data", data, "prepared data directory");
  return data;
}

void add_eval(Command program, Run& run) {
  auto o = std::make_shared<EvalOptions>();
  Command app = add_command(program, "eval", "decode a test set and score quality and, of speech, latency",
                              "alinea eval runs/emma --split test\n"
                              "alinea eval runs/emma --threshold 0.1 --threshold 0.5 --threshold 0.9 --out runs/emma/eval\n"
                              "alinea eval runs/waitk --policy waitk:1,waitk:3,waitk:5 --json\n"
                              "alinea eval runs/text --beam 5");
  add_common(app, o->common, Common::device | Common::json);
  app.add_option("RUN", o->run, "run or model directory").required();
  app.add_option("--data", o->data, "prepared data directory (default: the one the run was trained on)");
  app.add_option("--split", o->split, "train, dev or test");
  add_decoding(app, o->decoding, "offline, emma, waitk:K, several separated by commas; auto: emma when the model has a policy", o->thresholds);
  app.add_option("--limit", o->limit, "only the first sentences");
  app.add_option("--out", o->out, "folder for hypotheses, scores and, of speech, SimulEval's instances.log, one per system");
  app.add_flag("--last", o->last, "the newest checkpoint instead of the best");
  app.callback([o, &run] { run = [o] { return eval(*o); }; });
}

}  // namespace alinea
