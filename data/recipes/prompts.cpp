#include "data/recipes/prompts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "data/audio.h"
#include "data/features/extractor.h"
#include "data/features/log_mel.h"
#include "data/manifest.h"
#include "data/recipes/reading.h"
#include "data/recipes/text.h"
#include "data/recipes/text_corpus.h"
#include "data/tokenizers/ctc.h"
#include "engine/core/error.h"
#include "engine/core/files.h"
#include "engine/core/random.h"

namespace alinea {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// A recording that will be in the corpus.
struct Prompt {
  std::string id;        // below the folder of its language: digits/1
  std::string sentence;  // as printed
  std::string letters;   // what is said; empty where that is not known
  fs::path recording;
};

std::string packages(const std::string& language) {
  return fmt::format("apt-get install --no-install-recommends asterisk-core-sounds-{0} asterisk-core-sounds-{0}-g722", language);
}

// "id: sentence", ';' before comments.
std::map<std::string, std::string> read_transcripts(const fs::path& doc_dir, const std::string& language) {
  const fs::path path = doc_dir / ("asterisk-core-sounds-" + language) / ("core-sounds-" + language + ".txt.gz");
  require_data(fs::exists(path), "prompts: there is no {}; install it ({}) or name its place with --doc-dir", path.string(),
               packages(language));
  std::map<std::string, std::string> sentences;
  for (const std::string& line : read_sentences(path)) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || line.front() == ';') continue;
    const size_t begin = line.find_first_not_of(' ', colon + 1);
    if (begin != std::string::npos) sentences[line.substr(0, colon)] = line.substr(begin);
  }
  return sentences;
}

// Splits of one language: groups of equal text, in the order of their draws, fill test, then dev, then train.
std::map<std::string, std::string> splits_of(const std::vector<Prompt>& prompts, const PromptsOptions& o, RandomKey key) {
  std::map<std::string, std::vector<std::string>> groups;  // text -> ids
  for (const Prompt& p : prompts) groups[p.letters.empty() ? p.id : p.letters].push_back(p.id);
  std::vector<std::string> order;
  for (const auto& [text, ids] : groups) order.push_back(text);
  Draw(key).shuffle(order);
  const auto count = [&](double share) { return int64_t(std::ceil(share * double(prompts.size()))); };
  std::map<std::string, std::string> split;
  int64_t given = 0;
  for (const std::string& text : order) {
    const char* name = given < count(o.test) ? "test" : given < count(o.test) + count(o.dev) ? "dev" : "train";
    for (const std::string& id : groups[text]) split[id] = name;
    given += int64_t(groups[text].size());
  }
  return split;
}

class Preparation {
 public:
  Preparation(const PromptsOptions& options, const PrepareProgress& progress)
      : options_(options), progress_(progress), part_(options.out.string() + ".part") {}

  PromptsSummary run() {
    std::vector<std::vector<Prompt>> all;
    for (const std::string& language : options_.languages) all.push_back(find(language)), total_ += int64_t(all.back().size());
    fs::remove_all(part_);
    fs::create_directories(part_);
    for (size_t i = 0; i < all.size(); ++i) write_language(options_.languages[i], all[i]);
    for (const char* name : {"train", "dev", "test"})
      if (!rows_[name].empty()) write_manifest(part_ / (std::string(name) + ".tsv"), rows_[name]);
    write_vocabulary();
    write_config();
    fs::rename(part_, options_.out);
    return std::move(summary_);
  }

 private:
  RandomKey key(const std::string& language) const { return RandomKey{options_.seed}.child("prompts").child(language); }

  std::vector<Prompt> find(const std::string& language) {
    const fs::path folder = options_.sounds_dir / Reading::of(language).folder();
    require_data(fs::is_directory(folder),
                 "prompts: there is no folder {}; install the recordings ({}) or name their place with --sounds-dir", folder.string(),
                 packages(language));
    std::vector<Prompt> prompts;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() != ".g722") continue;
      prompts.push_back({.id = fs::relative(entry.path(), folder).replace_extension().string(),
                         .sentence = {},
                         .letters = {},
                         .recording = entry.path()});
    }
    require_data(!prompts.empty(), "prompts: {} holds no .g722 files; install the recordings ({})", folder.string(), packages(language));
    std::sort(prompts.begin(), prompts.end(), [](const Prompt& a, const Prompt& b) { return a.id < b.id; });
    transcribe(language, prompts);
    if (options_.limit > 0 && int64_t(prompts.size()) > options_.limit) {
      Draw(key(language).child("limit")).shuffle(prompts);
      prompts.resize(size_t(options_.limit));
    }
    return prompts;
  }

  // Leaves out what holds no speech.
  void transcribe(const std::string& language, std::vector<Prompt>& prompts) {
    const auto sentences = read_transcripts(options_.doc_dir, language);
    const bool kept = std::count(options_.transcripts.begin(), options_.transcripts.end(), language) > 0;
    const Transcriber transcriber(language, options_.letters);
    std::vector<Prompt> speech;
    for (Prompt& p : prompts) {
      const auto found = sentences.find(p.id);
      const bool known = found != sentences.end();
      // One of the Russian recordings is an empty file.
      if (p.id.starts_with("silence/") || fs::file_size(p.recording) == 0 || (known && without_remarks(found->second).text.empty())) {
        ++summary_.no_speech;
        continue;
      }
      if (known) p.sentence = found->second;
      if (kept) p.letters = transcriber.letters_of(p.sentence).value_or("");
      if (kept && known && p.letters.empty()) ++summary_.uncertain;
      std::replace(p.sentence.begin(), p.sentence.end(), '\t', ' ');
      speech.push_back(std::move(p));
    }
    prompts = std::move(speech);
  }

  void write_language(const std::string& language, const std::vector<Prompt>& prompts) {
    const auto split = splits_of(prompts, options_, key(language).child("split"));
    for (const Prompt& p : prompts) {
      const Audio audio = read_audio(p.recording);
      ManifestRow row;
      row.id = language + "/" + p.id;
      row.audio = "audio/" + row.id + ".wav";
      fs::create_directories((part_ / row.audio).parent_path());
      write_wav(part_ / row.audio, audio);
      row.n_frames = log_mel_frames(int64_t(audio.samples.size()));
      row.tgt_text = p.letters, row.src_text = p.sentence;
      row.speaker = Reading::of(language).folder(), row.src_lang = row.tgt_lang = language, row.kind = "prompt";
      if (!p.letters.empty()) row.keys = {language + ": " + p.letters};
      const std::string& name = split.at(p.id);
      hours_[name] += audio.seconds() / 3600;
      rows_[name].push_back(std::move(row));
      if (progress_) progress_(++done_, total_);
    }
  }

  void write_vocabulary() {
    std::vector<std::string> texts;
    for (const auto& [name, rows] : rows_)
      for (const ManifestRow& row : rows)
        if (!row.tgt_text.empty()) texts.push_back(row.tgt_text);
    FeatureExtractor{}.save(part_);
    if (texts.empty()) return;
    make_ctc_tokenizer(texts, false, part_);
    summary_.letters = CtcTokenizer(TokenizerFiles(part_)).size();
  }

  void write_config() {
    Json config = {{"recipe", "prompts"},
                   {"languages", options_.languages},
                   {"transcripts", options_.transcripts},
                   {"letters", options_.letters == Transcriber::Letters::upper ? "upper" : "lower"},
                   {"limit", options_.limit},
                   {"dev", options_.dev},
                   {"test", options_.test},
                   {"seed", options_.seed},
                   {"left_out_without_speech", summary_.no_speech},
                   {"left_out_of_the_transcripts", summary_.uncertain},
                   {"vocabulary", summary_.letters}};
    for (const char* name : {"train", "dev", "test"}) {
      const auto& rows = rows_[name];
      const int64_t transcribed = std::count_if(rows.begin(), rows.end(), [](const ManifestRow& r) { return !r.tgt_text.empty(); });
      summary_.splits.push_back({name, int64_t(rows.size()), transcribed, hours_[name]});
      config["splits"][name] = {{"recordings", rows.size()}, {"transcribed", transcribed}, {"hours", hours_[name]}};
    }
    write_atomically(part_ / "config.json", config.dump(2) + "\n");
  }

  const PromptsOptions& options_;
  const PrepareProgress& progress_;
  fs::path part_;
  std::map<std::string, std::vector<ManifestRow>> rows_;  // by split
  std::map<std::string, double> hours_;
  PromptsSummary summary_;
  int64_t done_ = 0, total_ = 0;
};

void check(const PromptsOptions& o) {
  require_new_folder("prompts", o.out);
  require(!o.languages.empty(), "prompts: no language; choose with --languages en,es,fr,it,ru");
  for (const auto& list : {o.languages, o.transcripts}) {
    const auto known = Reading::languages();
    for (const std::string& l : list)
      require(std::count(known.begin(), known.end(), l) > 0, "prompts: no recordings in '{}'; there are {}", l, join_text(known, ", "));
  }
  require(o.dev >= 0 && o.test >= 0 && o.dev + o.test < 1,
          "prompts: shares of {} for dev and {} for test; expected at least 0 and less than 1 together", o.dev, o.test);
  require(o.limit >= 0, "prompts: a limit of {} recordings; expected 1 or more, or 0 for all", o.limit);
}

}  // namespace

PromptsSummary prepare_prompts(const PromptsOptions& options, const PrepareProgress& progress) {
  check(options);
  return Preparation(options, progress).run();
}

}  // namespace alinea
