// The whole story in one command: corpus, offline model, EMMA, wait-k beside it, live streaming, scores, report.
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/commands.h"
#include "apps/live.h"
#include "apps/run_report.h"
#include "apps/trainer.h"
#include "data/audio.h"
#include "data/recipes/announcements.h"
#include "engine/core/files.h"
#include "models/hub/model_directory.h"

namespace alinea {

namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

struct DemoOptions {
  CommonOptions common;
  fs::path out = "runs/demo", configs = "configs/announcements";
  bool quick = false;
  double build_seconds = -1;  // not known
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

struct Stopped {
  int code;
};

// Sizes of the two schedules.
struct Schedules {
  int64_t train, test, offline, emma, waitk;
};
constexpr Schedules full{8000, 400, 1700, 800, 600}, quick{2500, 100, 550, 200, 0};

class Demo {
 public:
  explicit Demo(const DemoOptions& o) : o_(o), context_(context_of(o.common)), sizes_(o.quick ? quick : full) {
    const fs::path before = o.out / "seconds.json";
    if (fs::exists(before)) seconds_ = Json::parse(read_file(before));
    if (o.build_seconds >= 0 && !seconds_.contains("build")) seconds_["build"] = o.build_seconds;  // the first run's, as for the stages
  }

  int run() {
    make_folder(o_.out);
    stage("data", "joining recordings into announcements", [&] { return !fs::exists(data()); }, [&] { prepare(); });
    train("offline", sizes_.offline, "");
    train("emma", sizes_.emma, "offline");
    if (sizes_.waitk > 0) train("waitk", sizes_.waitk, "offline");
    const double start = now();
    Report report{.title = "Alinea: announcements, translated while they are heard"};
    stream_live(report);
    const Json summary = evaluate(report);
    seconds_["stream"] = now() - start;
    finish(report, summary);
    return 0;
  }

 private:
  fs::path data() const { return o_.out / "data"; }

  template <class Needed, class Work>
  void stage(const std::string& name, const std::string& what, Needed&& needed, Work&& work) {
    if (!needed()) {
      note(o_.common, "── {}: finished before, reused", name);
      return;
    }
    note(o_.common, "── {}: {}", name, what);
    const double start = now(), before = seconds_.value(name, 0.0);
    const auto keep_time = [&] {
      seconds_[name] = before + now() - start;
      write_atomically(o_.out / "seconds.json", seconds_.dump(1) + "\n");
    };
    try {
      work();
    } catch (...) {
      keep_time();
      throw;
    }
    keep_time();
  }

  void prepare() {
    AnnouncementsOptions options{.train = sizes_.train, .test = sizes_.test, .out = data(), .threads = threads()};
    Progress progress(Terminal::standard_error(), "data", 0, sizes_.train + options.dev + sizes_.test, true);
    prepare_announcements(options);
  }

  void train(const std::string& name, int64_t steps, const std::string& init) {
    const fs::path out = o_.out / name;
    stage(name, name == "offline" ? "training on whole utterances" : name == "emma" ? "fine-tuning to EMMA: the policy learns when to write" : "multi-path wait-k, for comparison",
          [&] {
            if (!RunDirectory::exists(out)) return true;
            const auto last = RunDirectory::last(out);
            return !last || last->step < steps;
          },
          [&] {
            Config config = Config::file(o_.configs / (name + ".json"));
            config.set("data", data().string());
            config.set("steps", std::to_string(steps));
            if (o_.quick) config.set("validation.every", "0");
            if (o_.common.seed) config.set("seed", std::to_string(*o_.common.seed));
            if (const int code = run_training(context_, config, out, init.empty() ? fs::path() : o_.out / init, o_.common.quiet)) throw Stopped{code};
          });
  }

  std::unique_ptr<S2TTransformer> model(const std::string& name) { return load_model(model_path(o_.out / name, false), context_); }

  // Plays held-out utterances through the model as if they were spoken now, several times faster.
  void stream_live(Report& report) {
    const auto emma = model("emma");
    const SpeechDataset test = SpeechDataset::open(data(), "test");
    const Vocabulary& target = test.target_vocabulary();
    const bool terminal = isatty(STDERR_FILENO);
    int shown = 0;
    for (const int64_t i : telling_utterances(test, 6, 9000)) {
      report.utterances.push_back(streamed_utterance(*emma, context_, test, i, target, {}));
      if (++shown <= 3 && !o_.common.quiet) show(report.utterances.back(), terminal);
    }
  }

  void show(const StreamedUtterance& u, bool terminal) const {
    fmt::print(stderr, "\n   time   heard                                    written\n");
    size_t heard = 0;
    double clock = 0;
    for (size_t w = 0; w < u.written.size();) {
      const double at = u.written[w].at_ms;
      std::string source, words;
      for (; heard < u.source_words.size() && u.source_words[heard].end_ms <= at; ++heard) source += " " + u.source_words[heard].text.substr(u.source_words[heard].text.find('/') + 1);
      std::string held = u.written[w].held_by;
      for (; w < u.written.size() && u.written[w].at_ms == at; ++w) words += (words.empty() ? "" : " ") + u.written[w].text;
      if (terminal) std::this_thread::sleep_for(std::chrono::milliseconds(int64_t((at - clock) / 3)));
      clock = at;
      fmt::print(stderr, "{:6.2f} s {:<40} {}{}\n", at / 1000, source, words, held.empty() ? "" : "   (held back by " + held + ")");
    }
    fmt::print(stderr, "   reference: {}{}\n", u.reference, u.reference == u.hypothesis ? "   ✓ the same" : "");
  }

  EvaluationScores measure(S2TTransformer& m, const SpeechDataset& test, const EvaluationOptions& options, const std::string& folder) {
    const auto instances = decode(m, context_, test, test.target_vocabulary(), options);
    const EvaluationScores s = score(instances, test);
    write_evaluation((o_.out / "eval" / folder).string(), instances, s, options);
    return s;
  }

  Json evaluate(Report& report) {
    const SpeechDataset test = SpeechDataset::open(data(), "test");
    TextTable table({{"system"}, {"exact %", true}, {"BLEU", true}, {"AL ms", true}, {"LAAL ms", true}, {"unit digit too early %", true}, {"hour guessed %", true}});
    Json curve = Json::array();
    auto add = [&](const std::string& system, const std::string& label, const EvaluationScores& s) {
      report.points.push_back(operating_point(system, label, s));
      table.row({system + " " + label, fmt::format("{:.1f}", s.exact_match), fmt::format("{:.1f}", s.bleu), fmt::format("{:.0f}", s.al), fmt::format("{:.0f}", s.laal), fmt::format("{:.1f}", s.unit_too_early), fmt::format("{:.1f}", s.hour_guessed)});
      curve.push_back({{"system", system}, {"label", label}, {"exact_match", s.exact_match}, {"bleu", s.bleu}, {"AL", s.al}, {"LAAL", s.laal}, {"unit_digits_too_early_percent", s.unit_too_early}, {"hours_guessed_percent", s.hour_guessed}});
    };
    Json summary;
    const auto offline = model("offline");
    const EvaluationScores base = measure(*offline, test, {.offline = true}, "offline");
    add("offline", "", base);
    summary["offline"] = {{"exact_match", base.exact_match}, {"bleu", base.bleu}, {"AL", base.al}};
    const auto emma = model("emma");
    for (const double threshold : {0.1, 0.3, 0.5, 0.7, 0.9}) {
      EvaluationOptions options;
      options.stream.threshold = threshold;
      const EvaluationScores s = measure(*emma, test, options, fmt::format("emma-{}", threshold));
      add("EMMA", fmt::format("@{}", threshold), s);
      if (threshold == 0.5) summary["emma"] = {{"exact_match", s.exact_match}, {"bleu", s.bleu}, {"AL", s.al}, {"LAAL", s.laal}, {"threshold", threshold}, {"unit_digits_too_early_percent", s.unit_too_early}, {"hours_guessed_percent", s.hour_guessed}};
    }
    if (sizes_.waitk > 0) {
      const auto waitk = model("waitk");
      for (int64_t k = 1; k <= 9; ++k) {
        EvaluationOptions options;
        options.stream.policy = StreamOptions::Policy::waitk;
        options.stream.wait_k = k;
        add("wait-k", fmt::format("k={}", k), measure(*waitk, test, options, fmt::format("waitk-{}", k)));
      }
    }
    note(o_.common, "\n{}", table.text());
    summary["curve"] = curve;
    return summary;
  }

  void finish(Report& report, const Json& measured) {
    write_atomically(o_.out / "seconds.json", seconds_.dump(1) + "\n");
    Json seconds = seconds_, summary = {{"seconds", seconds}};
    summary.update(measured);
    const auto& e = measured["emma"];
    report.summary = {{"EMMA exact", fmt::format("{:.1f} %", e["exact_match"].get<double>())}, {"EMMA lag (AL)", fmt::format("{:.0f} ms", e["AL"].get<double>())},
                      {"offline exact", fmt::format("{:.1f} %", measured["offline"]["exact_match"].get<double>())}, {"EMMA BLEU", fmt::format("{:.1f}", e["bleu"].get<double>())}};
    for (const auto& [name, s] : seconds_.items()) report.summary.emplace_back(name + " took", fmt::format("{:.0f} s", s.get<double>()));
    for (const char* run : {"offline", "emma", "waitk"})
      if (RunDirectory::exists(o_.out / run))
        for (Chart& c : charts_of_run(o_.out / run)) report.charts.push_back(std::move(c));
    report.config_json = read_file(o_.out / "emma" / "config.json");
    report.environment_json = read_file(o_.out / "emma" / "env.json");
    write_atomically(o_.out / "report.html", render_report(report));
    write_atomically(o_.out / "summary.json", summary.dump(1) + "\n");
    note(o_.common, "── report: {}\n── summary: {}", (o_.out / "report.html").string(), (o_.out / "summary.json").string());
    if (o_.common.json) print_json(summary);
  }

  const DemoOptions& o_;
  Context& context_;
  Schedules sizes_;
  Json seconds_ = Json::object();
};

}  // namespace

void add_demo(Command program, Run& run) {
  auto o = std::make_shared<DemoOptions>();
  Command app = add_command(program, "demo", "the whole story: corpus, offline model, EMMA, streaming, report", "alinea demo --out runs/demo\nalinea demo --quick --out runs/quick");
  add_common(app, o->common, Common::device | Common::seed | Common::json);
  app.add_option("--out", o->out, "where everything goes; a second run reuses finished stages");
  app.add_option("--configs", o->configs, "folder with offline.json, emma.json and waitk.json");
  app.add_flag("--quick", o->quick, "a short schedule of about 90 seconds");
  app.add_option("--build-seconds", o->build_seconds, "for the summary: how long the build took");
  app.callback([o, &run] {
    run = [o] {
      try {
        return Demo(*o).run();
      } catch (const Stopped& s) {
        return s.code;
      }
    };
  });
}

}  // namespace alinea
