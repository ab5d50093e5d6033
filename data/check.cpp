#include "data/check.h"

#include <map>
#include <optional>
#include <set>

#include "data/audio.h"
#include "data/features/log_mel.h"
#include "data/features/store.h"
#include "data/manifest.h"
#include "data/text_dataset.h"
#include "data/tokenizers/ctc.h"
#include "data/vocabulary.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

namespace fs = std::filesystem;

/// Waveforms, perhaps with transcripts in letters, for wav2vec 2.0.
bool is_wave_corpus(const fs::path& folder) { return fs::exists(folder / "preprocessor_config.json"); }

class Checker {
 public:
  explicit Checker(const fs::path& folder) : folder_(folder), waves_(is_wave_corpus(folder)) {
    if (waves_) {
      if (fs::exists(folder / "vocab.json")) letters_.emplace(TokenizerFiles(folder));
      return;
    }
    target_.emplace(Vocabulary::load(folder / "vocab.tgt.txt"));
    if (fs::exists(folder / "vocab.src.txt")) source_.emplace(Vocabulary::load(folder / "vocab.src.txt"));
  }

  void check_split(const std::string& name) {
    const auto rows = read_manifest(folder_ / (name + ".tsv"));
    DataReport::SplitReport report{name};
    std::set<std::string> unseen, keys;
    for (const ManifestRow& row : rows) {
      const std::string place = name + ".tsv: " + row.id;
      attempt([&] { report.hours += check_audio(row, place) / 3600; });
      attempt([&] { check_text(row, place); });
      for (const std::string& word : split_text(row.tgt_text, ' ')) {
        if (name == "train") seen_.insert(word);
        else if (!seen_.count(word)) unseen.insert(word);
        ++report.target_words;
      }
      once(ids_, row.id, name, place, "id");
      for (const std::string& key : row.keys) keys.insert(key), once(keys_, key, name, place, "text, number, date or time");
    }
    report.utterances = int64_t(rows.size()), report.unseen_target_words = int64_t(unseen.size());
    report.held_out_keys = name == "train" ? 0 : int64_t(keys.size());
    attempt([&] { check_features(name, rows); });
    report_.splits.push_back(report);
  }

  DataReport take() { return std::move(report_); }

 private:
  void problem(const std::string& text) {
    if (report_.problems.size() < 50) report_.problems.push_back(text);
    else ++report_.further_problems;
  }

  template <class F>
  void attempt(F f) {
    try {
      f();
    } catch (const Error& error) {
      problem(error.what());
    }
  }

  void once(std::map<std::string, std::string>& owners, const std::string& what, const std::string& split, const std::string& place, const char* kind) {
    const auto [owner, fresh] = owners.emplace(what, split);
    if (!fresh && owner->second != split) problem(fmt::format("{}: the {} '{}' is in {} too; the splits must not share it: prepare the data again", place, kind, what, owner->second));
  }

  // A corpus of waves may hold speech that nobody has written down.
  void check_text(const ManifestRow& row, const std::string& place) const {
    if (waves_ && row.tgt_text.empty()) return;
    if (waves_) {
      require_data(letters_.has_value(), "{}: there is a target text, and no vocab.json; prepare the data again", place);
      const auto ids = letters_->encode(row.tgt_text, Side::target);
      require_data(std::find(ids.begin(), ids.end(), letters_->special().unknown) == ids.end(),
                   "{}: vocab.json lacks a letter of the target text '{}'; prepare the data again", place, row.tgt_text);
      return;
    }
    require_data(!row.tgt_text.empty(), "{}: the target text is empty; complete it or remove the row", place);
    target_->encode_text(row.tgt_text, place);
    if (source_ && source_->size() > 1) source_->encode(row.words, place);
  }

  double check_audio(const ManifestRow& row, const std::string& place) const {
    const AudioInfo info = audio_info(folder_ / row.audio);
    require_data(info.channels == 1 && info.rate == 16000, "{}: {} has {} channels at {} Hz; expected 1 at 16000: convert it", place, row.audio, info.channels,
                 info.rate);
    require_data(log_mel_frames(info.samples) == row.n_frames, "{}: {} has {} samples = {} frames; the manifest says {}: correct n_frames", place, row.audio,
                 info.samples, log_mel_frames(info.samples), row.n_frames);
    const double seconds = double(info.samples) / info.rate;
    for (const auto& [begin, end] : row.word_spans)
      require_data(end <= seconds + 1e-3, "{}: a word ends at {:.3f} s; the audio at {:.3f} s: correct word_spans", place, end, seconds);
    return seconds;
  }

  void check_features(const std::string& name, const std::vector<ManifestRow>& rows) const {
    if (!FeatureFile::exists(folder_ / "features", name)) return;
    const FeatureFile features(folder_ / "features", name);
    require_data(features.size() == int64_t(rows.size()), "features/{}.json: {} utterances; {}.tsv has {}: prepare the data again", name, features.size(), name,
                 rows.size());
    for (int64_t i = 0; i < features.size(); ++i)
      require_data(features.id(i) == rows[i].id && features.frames(i) == rows[i].n_frames,
                   "features/{}.json: '{}' with {} frames where {}.tsv has '{}' with {}: prepare the data again", name, features.id(i), features.frames(i), name,
                   rows[i].id, rows[i].n_frames);
  }

  fs::path folder_;
  bool waves_ = false;
  std::optional<Vocabulary> target_, source_;
  std::optional<CtcTokenizer> letters_;
  std::set<std::string> seen_;                      // target words of training
  std::map<std::string, std::string> ids_, keys_;  // → the split that has them
  DataReport report_;
};

// A text corpus: pairs readable and not empty, ids once, sentence counts as many as the model has pieces.
DataReport check_text(const fs::path& folder) {
  DataReport report;
  const auto attempt = [&](auto&& f) {
    try {
      f();
    } catch (const Error& error) {
      report.problems.push_back(error.what());
    }
  };
  std::map<std::string, std::string> owners;
  std::set<int32_t> seen;
  for (const char* split : {"train", "dev", "test"}) attempt([&] {
    const TextDataset data = TextDataset::open(folder, split);
    DataReport::SplitReport s{.name = split, .utterances = data.size()};
    std::set<int32_t> unseen;
    for (int64_t i = 0; i < data.size(); ++i) {
      const auto [owner, fresh] = owners.emplace(data.row(i).id, split);
      if (!fresh) report.problems.push_back(fmt::format("{}.tsv: the id '{}' is in {} too; prepare the data again", split, data.row(i).id, owner->second));
      s.target_words += int64_t(data.target(i).size());
      for (const int32_t piece : data.target(i))
        if (s.name == "train") seen.insert(piece);
        else if (!seen.count(piece)) unseen.insert(piece);
    }
    s.unseen_target_words = int64_t(unseen.size());
    report.splits.push_back(s);
  });
  attempt([&] {
    const SubwordPair subwords = SubwordPair::load(folder);
    for (const auto& [file, model] : {std::pair{"vocab.src.tsv", &subwords.source}, {"vocab.tgt.tsv", &subwords.target}}) {
      const int64_t counts = int64_t(SentenceCounts::load(folder / file).of.size());
      require_data(counts == model->size(), "{}: {} pieces; the subword model has {}: prepare the data again", file, counts, model->size());
    }
  });
  return report;
}

}  // namespace

DataReport check_data(const fs::path& folder) {
  require_data(fs::is_directory(folder), "data {}: there is no such folder; prepare the data first", folder.string());
  if (is_text_corpus(folder)) return check_text(folder);
  Checker checker(folder);
  bool any = false;
  for (const char* split : {"train", "dev", "test"}) {
    if (!fs::exists(folder / (std::string(split) + ".tsv"))) continue;
    checker.check_split(split);
    any = true;
  }
  require_data(any, "data {}: none of train.tsv, dev.tsv, test.tsv is there; prepare the data first", folder.string());
  return checker.take();
}

}  // namespace alinea
