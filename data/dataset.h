// A prepared corpus as plain values: examples, padded batches on the host, and a loader that works ahead on its own thread.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "data/batches.h"
#include "data/features/augment.h"
#include "data/features/log_mel.h"
#include "data/features/store.h"
#include "data/manifest.h"
#include "data/vocabulary.h"
#include "engine/core/random.h"

namespace alinea {

struct Example {
  std::string id, src_text, tgt_text, audio, kind;            // audio: path of the file
  std::vector<float> features;                                // [frames, bins], scaled log-mel
  int64_t frames = 0, bins = 80;
  std::vector<int32_t> target;                                // ids, without start and end
  std::vector<int32_t> words;                                 // ids of the source words, if the manifest has them
  std::vector<std::pair<float, float>> word_spans;            // their begin and end, in seconds
  double source_ms = 0;                                       // duration of the audio
};

/// What happens to an example each time it is loaded for training; the default is nothing.
struct Augmentation {
  double speed_low = 1, speed_high = 1;        // other than 1: features are computed anew from the audio
  double gain_decibels = 0;                    // likewise
  std::optional<SpecAugment> spec_augment;
};

class SpeechDataset {
 public:
  /// One split of a folder that `prepare` made (or any folder with SPLIT.tsv, vocab.tgt.txt and 16 kHz audio: features are then computed
  /// when loaded, and vocab.src.txt may be missing). Throws Error{data} for missing files, features that do not match the manifest, and
  /// target words outside the vocabulary.
  static SpeechDataset open(const std::filesystem::path& folder, const std::string& split, const Augmentation& augmentation = {});

  int64_t size() const { return int64_t(rows_.size()); }
  int64_t length(int64_t i) const { return rows_[i].n_frames; }
  std::vector<int64_t> lengths() const;
  const ManifestRow& row(int64_t i) const { return rows_[i]; }
  std::filesystem::path audio_path(int64_t i) const { return folder_ / rows_[i].audio; }

  /// Example i; augmented if `augment` is given and the dataset was opened with an augmentation. Safe for several threads.
  Example load(int64_t i, std::optional<RandomKey> augment = std::nullopt) const;

  const Vocabulary& target_vocabulary() const { return target_; }
  const Vocabulary& source_vocabulary() const { return source_; }

 private:
  SpeechDataset(Vocabulary target, Vocabulary source) : target_(std::move(target)), source_(std::move(source)) {}
  void load_features(int64_t i, std::optional<RandomKey> augment, Example& example) const;

  std::filesystem::path folder_;
  std::vector<ManifestRow> rows_;
  Vocabulary target_, source_;
  std::optional<FeatureFile> features_;
  Augmentation augmentation_;
  LogMel mel_;
};

/// What an encoder state should know, one label per state of `ms_per_state`: the second half of each word, up to the state in which it
/// ends, is the word's id; between words Vocabulary::blank; the first half −1, ignored. Later words win where two meet in a state.
std::vector<int32_t> state_labels(const Example& example, int64_t states, double ms_per_state);

/// B examples side by side.
struct HostBatch {
  int64_t B = 0, F = 0, bins = 80, states = 0;
  std::vector<float> features;                  // [B, F, bins], padded
  std::vector<int32_t> frames;                  // [B]
  std::vector<std::vector<int32_t>> targets;    // ids without start and end
  std::vector<std::vector<int32_t>> words;
  std::vector<int32_t> state_labels;            // [B, states], −1 beyond an example's end; empty if not asked for
  std::vector<int64_t> indices;                 // in the dataset
  std::vector<Example> examples;                // without their features
};

struct CollateOptions {
  float padding = -1;               // of features: about the level of silence in scaled log-mel
  int64_t multiple = 32;            // F is rounded up to a multiple of this many frames
  int64_t frames_per_state = 8;     // for state labels; 0: none. An example has ⌈frames / frames_per_state⌉ states.
};

HostBatch collate(std::vector<Example> examples, const CollateOptions& options = {});

/// Loads and collates one batch of a plan; each example's augmentation draws from key.child(index).
HostBatch load_batch(const SpeechDataset& dataset, std::span<const int64_t> batch, std::optional<RandomKey> augment = std::nullopt,
                     const CollateOptions& options = {});

/// Makes items 0, 1, … count − 1 on a background thread, at most `ahead` of the consumer; next() gives them in order, then nothing. An
/// exception of make is thrown by next() at the item that it belongs to. Destruction stops the thread after the item in progress.
template <class T>
class Prefetcher {
 public:
  Prefetcher(int64_t count, std::function<T(int64_t)> make, int64_t ahead = 4) : count_(count), ahead_(ahead < 1 ? 1 : ahead), make_(std::move(make)) {
    thread_ = std::thread([this] { run(); });
  }
  Prefetcher(const Prefetcher&) = delete;
  ~Prefetcher() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  std::optional<T> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !queue_.empty() || error_ || made_ == count_; });
    if (queue_.empty()) {
      if (error_) std::rethrow_exception(error_);
      return std::nullopt;
    }
    std::optional<T> item(std::move(queue_.front()));
    queue_.pop_front();
    changed_.notify_all();
    return item;
  }

 private:
  void run() {
    for (int64_t i = 0; i < count_; ++i) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopped_ || int64_t(queue_.size()) < ahead_; });
        if (stopped_) return;
      }
      std::optional<T> item;
      std::exception_ptr error;
      try {
        item.emplace(make_(i));
      } catch (...) {
        error = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      if (error) error_ = error;
      else queue_.push_back(std::move(*item)), ++made_;
      changed_.notify_all();
      if (error) return;
    }
  }

  const int64_t count_, ahead_;
  std::function<T(int64_t)> make_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> queue_;
  std::exception_ptr error_;
  int64_t made_ = 0;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace alinea
