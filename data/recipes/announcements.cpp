#include "data/recipes/announcements.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "data/audio.h"
#include "data/features/half.h"
#include "data/features/log_mel.h"
#include "data/features/store.h"
#include "data/manifest.h"
#include "data/recipes/announcement_template.h"
#include "data/recipes/say.h"
#include "data/vocabulary.h"
#include "engine/core/error.h"
#include "engine/core/random.h"

namespace alinea {
namespace {

namespace fs = std::filesystem;

/// One finished utterance: its sound is on disk already.
struct Made {
  ManifestRow row;
  std::vector<uint16_t> features;
};

struct Words {
  std::set<std::string> source, target;
};

class Preparation {
 public:
  Preparation(const AnnouncementsOptions& options, const PrepareProgress& progress)
      : options_(options), progress_(progress), part_(options.out.string() + ".part"),
        template_(AnnouncementTemplate::open(options.from, options.to, options.kind, options.template_file)),
        recordings_(fs::exists(options.sounds_dir / "digits") ? options.sounds_dir : options.sounds_dir / template_.reading().folder()) {
    // Decoded before the threads begin, and a missing recording is told before anything is written.
    for (const std::string& name : template_.fixed_recordings()) recordings_[name];
    for (int64_t n = 0; n <= 10; ++n) recordings_[template_.reading().read(n).value().front()];
  }

  void run() {
    fs::remove_all(part_);
    fs::create_directories(part_ / "features");
    make_split(Split::train, options_.train), make_split(Split::dev, options_.dev), make_split(Split::test, options_.test);
    Vocabulary::source(words_.source).save(part_ / "vocab.src.txt");
    Vocabulary::target(words_.target).save(part_ / "vocab.tgt.txt");
    write_config();
    fs::rename(part_, options_.out);
  }

 private:
  Made make(const AnnouncementTemplate& announcements, Split split, int64_t i) const {
    const std::string name(name_of(split));
    const RandomKey key = RandomKey{options_.seed}.child(name).child(uint64_t(i));
    const Sentence sentence = announcements.draw(split, key.child("sentence"));
    const Utterance utterance = say(recordings_, sentence.recordings, key);
    const auto pcm = to_pcm16(utterance.samples);
    Made made;
    ManifestRow& row = made.row;
    row.id = fmt::format("{}-{:06}", name, i);
    row.audio = fmt::format("audio/{}/{}.wav", name, row.id);
    write_wav(part_ / row.audio, pcm, 16000);
    std::vector<float> features = mel_(from_pcm16(pcm));
    FeatureScale{}.apply(features);
    made.features.resize(features.size());
    to_half(features, made.features.data());
    row.n_frames = int64_t(features.size()) / mel_.options().bins;
    row.tgt_text = join_text(sentence.tokens, " "), row.src_text = announcements.reading().words(sentence.recordings);
    row.speaker = announcements.reading().folder(), row.src_lang = options_.from, row.tgt_lang = options_.to, row.kind = sentence.kind;
    row.words = sentence.recordings, row.word_spans = utterance.spans, row.keys = sentence.keys;
    return made;
  }

  /// Utterances begin … begin + made.size() on all threads; the first exception is thrown on.
  void make_block(Split split, int64_t begin, std::vector<Made>& made) {
    std::atomic<int64_t> next = 0;
    std::exception_ptr error;
    std::mutex mutex;
    const auto work = [&](const AnnouncementTemplate& announcements) {
      try {
        for (int64_t i; (i = next++) < int64_t(made.size());) made[i] = make(announcements, split, begin + i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        next = int64_t(made.size());
      }
    };
    std::vector<std::thread> threads;
    for (auto& other : others_) threads.emplace_back(work, std::cref(other));
    work(template_);
    for (auto& thread : threads) thread.join();
    if (error) std::rethrow_exception(error);
  }

  void make_split(Split split, int64_t count) {
    const std::string name(name_of(split));
    fs::create_directories(part_ / "audio" / name);
    // ICU's number formats are not to be shared between threads, so each has its own template.
    while (int(others_.size()) + 1 < options_.threads)
      others_.push_back(AnnouncementTemplate::open(options_.from, options_.to, options_.kind, options_.template_file));
    FeatureWriter features(part_ / "features", name, mel_.options().bins);
    std::vector<ManifestRow> rows;
    constexpr int64_t block = 256;
    for (int64_t begin = 0; begin < count; begin += block) {
      std::vector<Made> made(std::min(block, count - begin));
      make_block(split, begin, made);
      for (Made& one : made) {
        features.add(one.row.id, one.features);
        words_.source.insert(one.row.words.begin(), one.row.words.end());
        for (auto& token : split_text(one.row.tgt_text, ' ')) words_.target.insert(std::move(token));
        seconds_ += double(one.row.n_frames) * 0.01;
        rows.push_back(std::move(one.row));
      }
      done_ += int64_t(made.size());
      if (progress_) progress_(done_, options_.train + options_.dev + options_.test);
    }
    features.finish();
    write_manifest(part_ / (name + ".tsv"), rows);
  }

  void write_config() const {
    const nlohmann::ordered_json config = {
        {"recipe", "announcements"},
        {"from", options_.from},
        {"to", options_.to},
        {"kind", options_.kind},
        {"kinds", template_.kinds()},
        {"template", options_.template_file.string()},
        {"recordings", template_.reading().folder()},
        {"seed", options_.seed},
        {"train", options_.train},
        {"dev", options_.dev},
        {"test", options_.test},
        {"hours", seconds_ / 3600},
        {"source_vocabulary", words_.source.size() + 1},
        {"target_vocabulary", words_.target.size() + 2},
        {"features", {{"type", "log_mel"}, {"rate", 16000}, {"bins", mel_.options().bins}, {"window_ms", 25}, {"shift_ms", 10}, {"subtract", FeatureScale{}.shift}, {"divide", FeatureScale{}.scale}, {"storage", "f16"}}},
    };
    std::ofstream file(part_ / "config.json");
    file << config.dump(2) << '\n';
    file.close();
    if (!file.good()) fail(Exit::failed, "announcements: {} could not be written; is the disk full?", (part_ / "config.json").string());
  }

  const AnnouncementsOptions& options_;
  const PrepareProgress& progress_;
  fs::path part_;
  AnnouncementTemplate template_;
  std::vector<AnnouncementTemplate> others_;
  Recordings recordings_;
  LogMel mel_;
  Words words_;
  int64_t done_ = 0;
  double seconds_ = 0;
};

}  // namespace

void prepare_announcements(const AnnouncementsOptions& options, const PrepareProgress& progress) {
  require(!options.out.empty(), "announcements: no folder to write to; name one with --out");
  require(!fs::exists(options.out), "announcements: {} exists already; remove it or choose another --out", options.out.string());
  for (const int64_t count : {options.train, options.dev, options.test})
    require(count >= 1 && count < 1000000, "announcements: {} utterances; expected 1 … 999999 in each split", count);
  require(options.threads >= 1 && options.threads <= 256, "announcements: {} threads; expected 1 … 256", options.threads);
  Preparation(options, progress).run();
}

}  // namespace alinea
