#include "data/dataset.h"

#include <algorithm>
#include <cmath>

#include "data/audio.h"
#include "engine/core/error.h"

namespace alinea {

SpeechDataset SpeechDataset::open(const std::filesystem::path& folder, const std::string& split, const Augmentation& augmentation) {
  require_data(std::filesystem::is_directory(folder), "data {}: there is no such folder; prepare the data first (alinea data prepare … --out {})",
               folder.string(), folder.string());
  const auto source = folder / "vocab.src.txt";
  SpeechDataset data(Vocabulary::load(folder / "vocab.tgt.txt"),
                     std::filesystem::exists(source) ? Vocabulary::load(source) : Vocabulary::source({}));
  data.folder_ = folder, data.augmentation_ = augmentation;
  data.rows_ = read_manifest(folder / (split + ".tsv"));
  for (const ManifestRow& row : data.rows_) {
    require_data(std::filesystem::exists(folder / row.audio), "manifest {}: row '{}': there is no audio file {}; restore it or remove the row",
                 (folder / (split + ".tsv")).string(), row.id, (folder / row.audio).string());
    data.target_.encode_text(row.tgt_text, row.id);
  }
  if (!FeatureFile::exists(folder / "features", split)) return data;
  data.features_.emplace(folder / "features", split);
  require_data(data.features_->size() == data.size(), "features {}: {} utterances; the manifest has {}: prepare the data again",
               (folder / "features" / (split + ".json")).string(), data.features_->size(), data.size());
  for (int64_t i = 0; i < data.size(); ++i) {
    require_data(data.features_->id(i) == data.rows_[i].id && data.features_->frames(i) == data.rows_[i].n_frames,
                 "features of {}: '{}' with {} frames where the manifest has '{}' with {}; prepare the data again", split, data.features_->id(i),
                 data.features_->frames(i), data.rows_[i].id, data.rows_[i].n_frames);
  }
  return data;
}

std::vector<int64_t> SpeechDataset::lengths() const {
  std::vector<int64_t> result;
  for (const ManifestRow& row : rows_) result.push_back(row.n_frames);
  return result;
}

Example SpeechDataset::load(int64_t i, std::optional<RandomKey> augment) const {
  require(i >= 0 && i < size(), "dataset: example {}; expected 0 … {}", i, size() - 1);
  const ManifestRow& row = rows_[i];
  Example example;
  example.id = row.id, example.src_text = row.src_text, example.tgt_text = row.tgt_text, example.kind = row.kind;
  example.audio = audio_path(i).string();
  example.target = target_.encode_text(row.tgt_text, row.id);
  if (source_.size() > 1) example.words = source_.encode(row.words, row.id);
  example.word_spans = row.word_spans;
  load_features(i, augment, example);
  if (augment && augmentation_.spec_augment) augmentation_.spec_augment->apply(example.features, example.bins, *augment);
  return example;
}

void SpeechDataset::load_features(int64_t i, std::optional<RandomKey> augment, Example& example) const {
  const Augmentation& a = augmentation_;
  const bool speed = augment && (a.speed_low != 1 || a.speed_high != 1), gain = augment && a.gain_decibels != 0;
  if (features_ && !speed && !gain) {
    example.features = features_->read(i), example.frames = features_->frames(i), example.bins = features_->bins();
    example.source_ms = double(audio_info(example.audio).samples) / 16;
    return;
  }
  Audio audio = read_audio(example.audio);
  if (speed) {
    double factor = 1;
    audio.samples = perturb_speed(audio.samples, a.speed_low, a.speed_high, *augment, &factor);
    for (auto& [begin, end] : example.word_spans) begin = float(begin / factor), end = float(end / factor);
  }
  if (gain) perturb_gain(audio.samples, a.gain_decibels, *augment);
  example.features = mel_(audio.samples);
  FeatureScale{}.apply(example.features);
  example.bins = mel_.options().bins, example.frames = int64_t(example.features.size()) / example.bins;
  require_data(example.frames > 0, "audio {}: {} samples are less than one frame of 25 ms; remove it from the manifest", example.audio, audio.samples.size());
  example.source_ms = 1000 * audio.seconds();
}

std::vector<int32_t> state_labels(const Example& example, int64_t states, double ms_per_state) {
  std::vector<int32_t> labels(states, Vocabulary::blank);
  const auto fill = [&](int64_t begin, int64_t end, int32_t label) {
    for (int64_t s = std::max<int64_t>(0, begin); s < std::min(end, states); ++s) labels[s] = label;
  };
  for (size_t w = 0; w < std::min(example.words.size(), example.word_spans.size()); ++w) {
    const auto [begin, end] = example.word_spans[w];
    const auto state = [&](double seconds) { return int64_t(1000 * seconds / ms_per_state); };
    const int64_t first = state(begin), middle = state((double(begin) + end) / 2), last = state(end);
    fill(first, middle, -1);
    fill(middle, last + 1, example.words[w]);
  }
  return labels;
}

HostBatch collate(std::vector<Example> examples, const CollateOptions& options) {
  require(!examples.empty() && options.multiple >= 1, "collate: {} examples padded to a multiple of {}; expected at least 1 of each", examples.size(),
          options.multiple);
  HostBatch batch;
  batch.B = int64_t(examples.size()), batch.bins = examples[0].bins;
  for (const Example& example : examples) {
    require(example.bins == batch.bins, "collate: '{}' has {} bins, others {}; compute all features alike", example.id, example.bins, batch.bins);
    batch.F = std::max(batch.F, example.frames);
  }
  batch.F = (batch.F + options.multiple - 1) / options.multiple * options.multiple;
  batch.features.assign(batch.B * batch.F * batch.bins, options.padding);
  if (options.frames_per_state > 0) {
    batch.states = (batch.F + options.frames_per_state - 1) / options.frames_per_state;
    batch.state_labels.assign(batch.B * batch.states, -1);
  }
  for (int64_t b = 0; b < batch.B; ++b) {
    Example& example = examples[b];
    std::copy(example.features.begin(), example.features.end(), batch.features.begin() + b * batch.F * batch.bins);
    example.features.clear();
    batch.frames.push_back(int32_t(example.frames));
    batch.targets.push_back(example.target), batch.words.push_back(example.words);
    if (options.frames_per_state > 0) {
      const int64_t states = (example.frames + options.frames_per_state - 1) / options.frames_per_state;
      const auto labels = state_labels(example, states, 10.0 * double(options.frames_per_state));
      std::copy(labels.begin(), labels.end(), batch.state_labels.begin() + b * batch.states);
    }
  }
  batch.examples = std::move(examples);
  return batch;
}

HostBatch load_batch(const SpeechDataset& dataset, std::span<const int64_t> batch, std::optional<RandomKey> augment, const CollateOptions& options) {
  std::vector<Example> examples;
  for (const int64_t i : batch) examples.push_back(dataset.load(i, augment ? std::optional(augment->child(uint64_t(i))) : std::nullopt));
  HostBatch result = collate(std::move(examples), options);
  result.indices.assign(batch.begin(), batch.end());
  return result;
}

}  // namespace alinea
