#include "data/wave_dataset.h"

#include <algorithm>
#include <numeric>

#include "data/audio.h"
#include "engine/core/error.h"

namespace alinea {

namespace fs = std::filesystem;

WaveDataset WaveDataset::open(const fs::path& folder, const std::string& split, const WaveSelection& s) {
  require_data(fs::is_directory(folder), "data {}: there is no such folder; prepare the data first (alinea data prepare prompts --out {})",
               folder.string(), folder.string());
  const fs::path manifest = folder / (split + ".tsv");
  require(!s.crop || !s.features.makes_filter_banks(), "waves: only samples are cut, filter banks are not");
  require_data(s.features.rate == wave_rate, "data {}: the model hears sound at {} Hz, prepared sound has {}", folder.string(), s.features.rate, wave_rate);
  WaveDataset data;
  data.folder_ = folder, data.selection_ = s;
  const int64_t longest = int64_t(s.max_seconds * wave_rate), shortest = int64_t(s.min_seconds * wave_rate);
  int64_t untranscribed = 0;
  for (ManifestRow& row : read_manifest(manifest)) {
    if (s.transcribed && row.tgt_text.empty()) {
      ++untranscribed;
      continue;
    }
    const AudioInfo info = audio_info(folder / row.audio);
    require_data(info.rate == wave_rate && info.channels == 1, "{}: row '{}': {} has {} channels at {} Hz; expected 1 at {}: convert it",
                 manifest.string(), row.id, row.audio, info.channels, info.rate, wave_rate);
    if (info.samples < shortest || (info.samples > longest && !s.crop)) {
      ++data.left_out_;
      continue;
    }
    data.lengths_.push_back(std::min(info.samples, longest));
    data.rows_.push_back(std::move(row));
  }
  require_data(!data.rows_.empty(),
               "{}: nothing is left: {} utterances without a transcript, {} shorter than {} s or longer than {} s; widen the limits or "
               "prepare other data",
               manifest.string(), untranscribed, data.left_out_, s.min_seconds, s.max_seconds);
  if (s.utterances <= 0 || s.utterances >= data.size()) return data;
  std::vector<int64_t> order(data.rows_.size());
  std::iota(order.begin(), order.end(), 0);
  Draw(s.key).shuffle(order);
  order.resize(size_t(s.utterances));
  std::sort(order.begin(), order.end());
  WaveDataset part;
  part.folder_ = data.folder_, part.selection_ = s, part.left_out_ = data.left_out_;
  for (const int64_t i : order) part.rows_.push_back(data.rows_[size_t(i)]), part.lengths_.push_back(data.lengths_[size_t(i)]);
  return part;
}

FeatureBatch WaveDataset::load(int64_t i, std::optional<RandomKey> crop) const {
  require(i >= 0 && i < size(), "waves: utterance {}; expected 0 … {}", i, size() - 1);
  const std::vector<float> sound = read_audio(folder_ / row(i).audio).samples;
  FeatureBatch all = selection_.features({&sound, 1});
  const int64_t n = int64_t(sound.size()), kept = length(i);
  require_data(n >= kept, "waves: {} has {} samples where its header promised {}; copy or make it again", row(i).audio, n, kept);
  if (n == kept) return all;
  const int64_t begin = crop ? Draw(*crop).integer(0, n - kept) : 0;
  all.values = {all.values.begin() + begin, all.values.begin() + begin + kept};
  all.length = kept;
  return all;
}

HostWaves one_sound(const FeatureExtractor& features, const std::vector<float>& samples) {
  FeatureBatch batch = features({&samples, 1});
  return {.B = 1, .N = batch.length, .width = batch.width, .values = std::move(batch.values), .lengths = {int32_t(batch.length)}, .masked = features.return_attention_mask,
          .seconds = double(samples.size()) / features.rate};
}

HostWaves load_waves(const WaveDataset& dataset, std::span<const int64_t> indices, std::optional<RandomKey> crop) {
  require(!indices.empty(), "waves: a batch of 0 utterances; expected 1 or more");
  std::vector<FeatureBatch> rows;
  HostWaves batch{.B = int64_t(indices.size()), .masked = dataset.features().return_attention_mask};
  for (const int64_t i : indices) {
    rows.push_back(dataset.load(i, crop ? std::optional(crop->child(uint64_t(i))) : std::nullopt));
    batch.N = std::max(batch.N, rows.back().length), batch.width = rows.back().width;
    batch.lengths.push_back(int32_t(rows.back().length));
    batch.seconds += double(dataset.length(i)) / wave_rate;
    batch.texts.push_back(dataset.row(i).tgt_text);
    batch.indices.push_back(i);
  }
  const int64_t row = batch.N * batch.width;
  batch.values.assign(size_t(batch.B * row), float(dataset.features().padding_value));
  for (int64_t b = 0; b < batch.B; ++b) std::copy(rows[size_t(b)].values.begin(), rows[size_t(b)].values.end(), batch.values.begin() + b * row);
  return batch;
}

}  // namespace alinea
