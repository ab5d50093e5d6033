// alinea data: makes a corpus, or checks one.
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/progress.h"
#include "data/check.h"
#include "data/manifest.h"
#include "data/recipes/announcements.h"
#include "data/recipes/bible.h"
#include "data/recipes/prompts.h"
#include "data/recipes/text.h"

namespace alinea {

namespace {

PrepareProgress shown_progress(bool quiet) {
  return [quiet, terminal = Terminal::standard_error(), shown = -1.0](int64_t done, int64_t total) mutable {
    const double now = terminal.seconds(), every = terminal.interactive ? 0.1 : 5;
    if (shown < 0) shown = now;
    if (quiet || (done < total && now - shown < every)) return;
    shown = now;
    terminal.write(fmt::format("{}{} of {} utterances{}", terminal.interactive ? "\r" : "", done, total, terminal.interactive && done < total ? "" : "\n"));
  };
}

struct AnnouncementsCommand {
  CommonOptions common;
  AnnouncementsOptions recipe;
};

int prepare(const AnnouncementsCommand& o) {
  AnnouncementsOptions recipe = o.recipe;
  set_threads(o.common.threads);
  recipe.threads = threads();
  recipe.seed = o.common.seed.value_or(recipe.seed);
  prepare_announcements(recipe, shown_progress(o.common.quiet));
  if (o.common.json) print_json({{"out", recipe.out.string()}, {"train", recipe.train}, {"dev", recipe.dev}, {"test", recipe.test}, {"seed", recipe.seed}});
  else note(o.common, "{}: ready; check it with alinea data check {}", recipe.out.string(), recipe.out.string());
  return 0;
}

void add_announcements(Command parent, Run& run) {
  auto o = std::make_shared<AnnouncementsCommand>();
  AnnouncementsOptions& r = o->recipe;
  Command app = add_command(parent, "announcements", "spoken numbers, dates, times and announcements from Asterisk's recordings, with translations",
                              "alinea data prepare announcements --from en --to de --out data-en-de\n"
                              "alinea data prepare announcements --from fr --to ja --kind numbers --train 2000 --out data-fr-ja");
  app.add_option("--out", r.out, "folder to make").required().type_name("DIR");
  app.add_option("--from", r.from, "language of the recordings: en, es, fr, it, ru").show_default();
  app.add_option("--to", r.to, "language of the translation").show_default();
  app.add_option("--kind", r.kind, "mix: announcements of the pair; numbers: plain numbers, for any pair").show_default().one_of({"mix", "numbers"});
  app.add_option("--train", r.train, "utterances to train on").show_default().positive();
  app.add_option("--dev", r.dev, "utterances to validate on").show_default().positive();
  app.add_option("--test", r.test, "utterances to test on").show_default().positive();
  app.add_option("--sounds-dir", r.sounds_dir, "where the recordings are").show_default().type_name("DIR");
  app.add_option("--template", r.template_file, "one's own announcements instead of the built-in ones").type_name("FILE");
  app.add_option("--threads", o->common.threads, "threads; 0: one per core; changes nothing but the time").show_default().range(0, 4096);
  add_common(app, o->common, Common::seed | Common::json);
  app.callback([o, &run] { run = [o] { return prepare(*o); }; });
}

struct PromptsCommand {
  CommonOptions common;
  PromptsOptions recipe;
  std::string languages = "en,es,fr,it,ru", transcripts = "en", letters = "upper";
};

int prepare(const PromptsCommand& o) {
  PromptsOptions recipe = o.recipe;
  recipe.languages = split_text(o.languages, ',');
  recipe.transcripts = split_text(o.transcripts, ',');
  recipe.letters = o.letters == "upper" ? Transcriber::Letters::upper : Transcriber::Letters::lower;
  recipe.seed = o.common.seed.value_or(recipe.seed);
  const PromptsSummary s = prepare_prompts(recipe, shown_progress(o.common.quiet));
  if (o.common.json) {
    nlohmann::ordered_json splits;
    for (const auto& split : s.splits) splits[split.name] = {{"recordings", split.recordings}, {"transcribed", split.transcribed}, {"hours", split.hours}};
    print_json({{"out", recipe.out.string()}, {"splits", splits}, {"without_speech", s.no_speech}, {"uncertain_transcripts", s.uncertain}, {"vocabulary", s.letters}});
    return 0;
  }
  for (const auto& split : s.splits) note(o.common, "{}: {} recordings, {:.2f} hours, {} with a transcript", split.name, split.recordings, split.hours, split.transcribed);
  note(o.common, "{}: ready; {} tones and silences left out, {} sentences whose reading is not certain left without a transcript", recipe.out.string(), s.no_speech, s.uncertain);
  return 0;
}

void add_prompts(Command parent, Run& run) {
  auto o = std::make_shared<PromptsCommand>();
  PromptsOptions& r = o->recipe;
  Command app = add_command(parent, "prompts", "Asterisk's recordings as they are, with transcripts in letters: to pre-train and fine-tune wav2vec 2.0",
                              "alinea data prepare prompts --out data-prompts\n"
                              "alinea data prepare prompts --languages en --transcripts en --letters lower --limit 100 --out data-small");
  app.add_option("--out", r.out, "folder to make").required().type_name("DIR");
  app.add_option("--languages", o->languages, "recordings of these languages").show_default().type_name("LIST");
  app.add_option("--transcripts", o->transcripts, "languages whose transcripts are kept; '' for none").show_default().type_name("LIST");
  app.add_option("--letters", o->letters, "case of the transcripts").show_default().one_of({"upper", "lower"});
  app.add_option("--limit", r.limit, "recordings of each language, drawn by the seed; 0: all").show_default();
  app.add_option("--dev", r.dev, "share to validate on").show_default();
  app.add_option("--test", r.test, "share to test on").show_default();
  app.add_option("--sounds-dir", r.sounds_dir, "where the recordings are").show_default().type_name("DIR");
  app.add_option("--doc-dir", r.doc_dir, "where the transcripts are").show_default().type_name("DIR");
  add_common(app, o->common, Common::seed | Common::json);
  app.callback([o, &run] { run = [o] { return prepare(*o); }; });
}

int report(const CommonOptions& common, const std::string& out, const TextSummary& s) {
  if (s.tabs > 0) note(common, "text: tabs became spaces in {} sentences", s.tabs);
  if (s.known > 0) note(common, "text: {} of the {} dev and test sources are training sources too", s.known, s.dev + s.test);
  if (common.json) print_json({{"out", out}, {"train", s.train}, {"dev", s.dev}, {"test", s.test}, {"source_pieces", s.source_pieces}, {"target_pieces", s.target_pieces}, {"sentences_with_tabs", s.tabs}, {"known_sources", s.known}});
  else note(common, "{}: ready: {} sentence pairs to train on, {} dev, {} test, {} and {} pieces", out, s.train, s.dev, s.test, s.source_pieces, s.target_pieces);
  return 0;
}

// What every recipe of text lets the user choose.
void add_layout(Command& app, TextLayout& l) {
  app.add_option("--vocab-size", l.subwords.vocabulary, "pieces of each vocabulary, with the three special ones").show_default();
  app.add_option("--model", l.subwords.model, "bpe or unigram").show_default().one_of({"bpe", "unigram"});
  app.add_option("--character-coverage", l.subwords.character_coverage, "share of the characters that get a piece; below 1 for scripts of thousands").show_default();
  app.add_flag("--joint", l.joint, "one vocabulary for both languages");
  app.add_option("--tokenizer", l.tokenizer, "plain: subwords of one's own; mbart, mbart50: as transformers' tokenizers have them, with --model unigram").show_default().one_of({"plain", "mbart", "mbart50"});
  app.add_option("--out", l.out, "folder to make").required().type_name("DIR");
}

struct TextCommand {
  CommonOptions common;
  TextOptions recipe;
};

void add_text(Command parent, Run& run) {
  auto o = std::make_shared<TextCommand>();
  TextOptions& r = o->recipe;
  Command app = add_command(parent, "text", "parallel text files of one's own: sentence pairs and a subword vocabulary",
                              "alinea data prepare text --source train.en.gz --target train.de.gz --dev-source val.en --dev-target val.de --vocab-size 5000 --joint --out data-text\n"
                              "alinea data prepare text --source all.en --target all.es --from en --to es --model unigram --out data-en-es");
  app.add_option("--source", r.source, "training sentences, one a line, plain or .gz").required().type_name("FILE");
  app.add_option("--target", r.target, "their translations, line by line").required().type_name("FILE");
  app.add_option("--dev-source", r.dev_source, "sentences to validate on; default: held out, lines / 20 (1 … 1000) before the test lines").type_name("FILE");
  app.add_option("--dev-target", r.dev_target, "their translations").type_name("FILE");
  app.add_option("--test-source", r.test_source, "sentences to test on; default: held out, the last lines / 20 (1 … 1000)").type_name("FILE");
  app.add_option("--test-target", r.test_target, "their translations").type_name("FILE");
  app.add_option("--from", r.from, "language of the source, noted in the manifests").show_default();
  app.add_option("--to", r.to, "language of the target").show_default();
  add_layout(app, r);
  add_common(app, o->common, Common::json);
  app.callback([o, &run] { run = [o] { return report(o->common, o->recipe.out.string(), prepare_text(o->recipe)); }; });
}

struct BibleCommand {
  CommonOptions common;
  BibleOptions recipe;
};

void add_bible(Command parent, Run& run) {
  auto o = std::make_shared<BibleCommand>();
  BibleOptions& r = o->recipe;
  r.to = "es";
  Command app = add_command(parent, "bible", "verses in English (World English Bible) and Spanish (Reina-Valera 1909), from Debian's packages",
                            "apt-get install libsword-utils sword-text-web sword-text-sparv\n"
                            "alinea data prepare bible --from en --to es --vocab-size 8000 --joint --out data-bible");
  app.add_option("--from", r.from, "language of the source").show_default().one_of({"en", "es"});
  app.add_option("--to", r.to, "language of the target").show_default().one_of({"en", "es"});
  app.add_option("--sword-dir", r.sword, "where the texts are").show_default().type_name("DIR");
  add_layout(app, r);
  add_common(app, o->common, Common::json);
  app.callback([o, &run] { run = [o] { return report(o->common, o->recipe.out.string(), prepare_bible(o->recipe)); }; });
}

void add_prepare(Command parent, Run& run) {
  Command app = add_command(parent, "prepare", "make a corpus", "alinea data prepare announcements --out data-announcements\nalinea data prepare text --source train.en --target train.de --out data-text");
  app.require_command();
  add_announcements(app, run);
  add_prompts(app, run);
  add_text(app, run);
  add_bible(app, run);
}

void print_report(const std::string& folder, const DataReport& report) {
  TextTable table({{"split"}, {"utterances", true}, {"hours", true}, {"target words", true}, {"unseen words", true}, {"held-out values", true}});
  for (const auto& s : report.splits)
    table.row({s.name, std::to_string(s.utterances), fmt::format("{:.2f}", s.hours), std::to_string(s.target_words), std::to_string(s.unseen_target_words), std::to_string(s.held_out_keys)});
  fmt::print("{}", table.text());
  for (const std::string& problem : report.problems) fmt::print(stderr, "{}\n", problem);
  if (report.further_problems > 0) fmt::print(stderr, "… and {} more\n", report.further_problems);
  if (!report.ok()) fmt::print(stderr, "alinea: {}: {} problems; prepare the data again\n", folder, int64_t(report.problems.size()) + report.further_problems);
}

int check(const std::string& folder, const CommonOptions& common) {
  const DataReport report = check_data(folder);
  if (common.json) {
    auto splits = nlohmann::ordered_json::array();
    for (const auto& s : report.splits)
      splits.push_back({{"name", s.name}, {"utterances", s.utterances}, {"hours", s.hours}, {"target_words", s.target_words}, {"unseen_target_words", s.unseen_target_words}, {"held_out_keys", s.held_out_keys}});
    print_json({{"folder", folder}, {"ok", report.ok()}, {"splits", splits}, {"problems", report.problems}, {"further_problems", report.further_problems}});
  } else {
    print_report(folder, report);
  }
  return report.ok() ? 0 : int(Exit::data);
}

void add_check(Command parent, Run& run) {
  struct Options {
    CommonOptions common;
    std::string folder;
  };
  auto o = std::make_shared<Options>();
  Command app = add_command(parent, "check", "look through a prepared folder: audio, features, vocabularies, strictness of the split", "alinea data check data-en-de --json");
  app.add_option("folder", o->folder, "what data prepare made").required().type_name("DIR");
  add_common(app, o->common, Common::json);
  app.callback([o, &run] { run = [o] { return check(o->folder, o->common); }; });
}

}  // namespace

void add_data(Command program, Run& run) {
  Command app = add_command(program, "data", "make and check corpora", "alinea data prepare announcements --out data-en-de\nalinea data check data-en-de");
  app.require_command();
  add_prepare(app, run);
  add_check(app, run);
}

}  // namespace alinea
