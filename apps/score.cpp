// alinea score: quality and latency of translations, equal to sacreBLEU and SimulEval.
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "data/scores/bleu.h"
#include "data/scores/bleu_tokenizers.h"
#include "data/scores/chrf.h"
#include "data/scores/simuleval_log.h"
#include "data/scores/ter.h"
#include "data/scores/wer.h"

namespace alinea {

namespace {

using json = nlohmann::ordered_json;

struct ScoreOptions {
  CommonOptions common;
  std::string hypotheses;
  std::vector<std::string> references;
  BleuOptions bleu;
  int word_order = 0;
  bool characters = false, computation_aware = false, case_sensitive = false;
  std::string unit = "word";
};

// One line of text, or the figures as JSON.
int show(const CommonOptions& common, const std::string& text, const json& figures) {
  if (common.json) print_json(figures);
  else fmt::print("{}\n", text);
  return 0;
}

std::vector<std::vector<std::string>> references_of(const ScoreOptions& o) {
  std::vector<std::vector<std::string>> streams;
  for (const std::string& file : o.references) streams.push_back(read_lines(file));
  return streams;
}

int score_bleu(const ScoreOptions& o) {
  const BleuScore s = corpus_bleu(read_lines(o.hypotheses), references_of(o), o.bleu);
  return show(o.common, s.text(),
              {{"name", "BLEU"},
               {"score", s.score},
               {"signature", s.signature},
               {"precisions", s.precisions},
               {"brevity_penalty", s.brevity_penalty},
               {"hypothesis_length", s.hypothesis_length},
               {"reference_length", s.reference_length}});
}

int score_chrf(const ScoreOptions& o) {
  const ChrfScore s = corpus_chrf(read_lines(o.hypotheses), references_of(o), o.word_order);
  const std::string text = s.text();
  return show(o.common, text, {{"name", text.substr(0, text.find('|'))}, {"score", s.score}, {"signature", s.signature}});
}

int score_ter(const ScoreOptions& o) {
  const TerScore s = corpus_ter(read_lines(o.hypotheses), references_of(o), o.case_sensitive);
  return show(o.common, s.text(), {{"name", "TER"}, {"score", s.score}, {"signature", s.signature}, {"edits", s.edits}, {"reference_length", s.reference_length}});
}

int score_wer(const ScoreOptions& o) {
  const auto hypotheses = read_lines(o.hypotheses), references = read_lines(o.references[0]);
  const ErrorCounts e = o.characters ? character_error_rate(hypotheses, references) : word_error_rate(hypotheses, references);
  const double exact = exact_match(hypotheses, references);
  const std::string name = o.characters ? "CER" : "WER";
  const std::string signature = "case:mixed|tok:none|version:" + std::string(version());
  return show(o.common,
              fmt::format("{}|{} = {:.2f} ({} substituted, {} deleted, {} inserted of {}) exact match = {:.2f}", name, signature, e.rate(), e.substitutions,
                          e.deletions, e.insertions, e.reference_length, exact),
              {{"name", name},
               {"score", e.rate()},
               {"signature", signature},
               {"substitutions", e.substitutions},
               {"deletions", e.deletions},
               {"insertions", e.insertions},
               {"reference_length", e.reference_length},
               {"exact_match", exact}});
}

AtdUnits units_of(const SimulLog& log) {
  if (log.source_type == "text") return AtdUnits::text_to_text();
  return log.target_type == "speech" ? AtdUnits::speech_to_speech() : AtdUnits::speech_to_text();
}

int score_latency_of(const ScoreOptions& o) {
  const SimulLog log = read_simuleval_log(o.hypotheses);
  const LatencyUnit unit = o.unit == "char" ? LatencyUnit::character : LatencyUnit::word;
  const auto latency = score_latency(log, unit, o.computation_aware, units_of(log));
  require_data(latency.has_value(), "{}: none of its {} sentences wrote anything, so there is no latency", o.hypotheses, log.instances.size());
  const std::string signature = fmt::format("unit:{}|source:{}|target:{}|computation:{}|version:{}", o.unit, log.source_type, log.target_type,
                                            o.computation_aware ? "aware" : "not counted", version());
  json figures{{"signature", signature}, {"sentences", log.instances.size()}};
  std::string text = signature;
  for (const auto& [name, value] : latency->named()) {
    figures[std::string(name)] = value;
    text += fmt::format("\n{:<12}{:>12.3f}", name, value);
  }
  return show(o.common, text, figures);
}

// hypotheses and references as positional arguments, --json, and what the score itself takes.
Command add_score_of(Command parent, Run& run, const std::shared_ptr<ScoreOptions>& o, const char* name, const char* description, const char* examples,
                       int (*score)(const ScoreOptions&), int most_references) {
  Command app = add_command(parent, name, description, examples);
  app.add_option("hypotheses", o->hypotheses, "one sentence a line").required().type_name("FILE");
  app.add_option("references", o->references, "as many lines").required().type_name("FILE").expected(1, most_references);
  add_common(app, o->common, Common::json);
  app.callback([o, score, &run] { run = [o, score] { return score(*o); }; });
  return app;
}

}  // namespace

void add_score(Command program, Run& run) {
  auto o = std::make_shared<ScoreOptions>();
  Command app = add_command(program, "score", "BLEU, chrF, TER, error rates and latency, equal to sacreBLEU and SimulEval",
                              "alinea score bleu out.txt reference.txt\nalinea score latency runs/demo/simuleval --json");
  app.require_command();
  constexpr int many = 1000;
  Command bleu = add_score_of(app, run, o, "bleu", "corpus BLEU with sacreBLEU's signature", "alinea score bleu out.txt reference.txt --tokenize 13a", score_bleu, many);
  std::vector<std::string> tokenizers;
  for (const BleuTokenizer& t : bleu_tokenizers()) tokenizers.emplace_back(t.name);
  bleu.add_option("--tokenize", o->bleu.tokenizer, "how words are cut").show_default().one_of(tokenizers);
  bleu.add_flag("--lowercase", o->bleu.lowercase, "ignore case");
  Command chrf = add_score_of(app, run, o, "chrf", "corpus chrF, or chrF++ with --word-order 2", "alinea score chrf out.txt reference.txt --word-order 2", score_chrf, many);
  chrf.add_option("--word-order", o->word_order, "0: chrF, 2: chrF++").show_default().one_of({0, 2});
  Command ter = add_score_of(app, run, o, "ter", "translation edit rate, as Tercom counts it", "alinea score ter out.txt reference.txt", score_ter, many);
  ter.add_flag("--case-sensitive", o->case_sensitive, "upper and lower case differ");
  Command wer = add_score_of(app, run, o, "wer", "word or character error rate, and exact match", "alinea score wer out.txt reference.txt --characters", score_wer, 1);
  wer.add_flag("--characters", o->characters, "errors of characters (CER) instead of words");
  Command latency = add_command(app, "latency", "AL, LAAL, AP, DAL, ATD … of a folder with SimulEval's instances.log", "alinea score latency runs/demo/simuleval --computation-aware");
  latency.add_option("folder", o->hypotheses, "holds instances.log").required().type_name("DIR");
  latency.add_flag("--computation-aware", o->computation_aware, "count the time spent computing");
  latency.add_option("--unit", o->unit, "what a target unit is").show_default().one_of({"word", "char"});
  add_common(latency, o->common, Common::json);
  latency.callback([o, &run] { run = [o] { return score_latency_of(*o); }; });
}

}  // namespace alinea
