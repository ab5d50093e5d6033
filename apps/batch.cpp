#include "apps/batch.h"

namespace alinea {

namespace {

/// decoder_in, labels and target_lengths of either batch.
template <class Batch>
void add_targets(Batch& batch, const std::vector<std::vector<int32_t>>& targets, Context& context, const TransformerConfig& config) {
  const int64_t B = int64_t(targets.size());
  int64_t T = 0;
  for (const auto& t : targets) T = std::max(T, int64_t(t.size()) + 1);
  std::vector<int64_t> in(size_t(B * T), config.pad_token), out(size_t(B * T), -100);
  for (int64_t b = 0; b < B; ++b) {
    const auto& t = targets[size_t(b)];
    in[size_t(b * T)] = config.bos_token;
    for (size_t i = 0; i < t.size(); ++i) {
      in[size_t(b * T) + i + 1] = t[i];
      out[size_t(b * T) + i] = t[i];
    }
    out[size_t(b * T) + t.size()] = config.eos_token;
    batch.target_lengths.push_back(int32_t(t.size() + 1));
  }
  batch.decoder_in = context.from(in.data(), {B, T});
  batch.labels = context.from(out.data(), {B, T});
}

}  // namespace

S2TBatch to_device(const HostBatch& host, Context& context, const S2TConfig& config) {
  S2TBatch batch{.frames = host.frames};
  require_data(host.bins == config.input_bins, "train: the data has {} feature bins, the model takes {}", host.bins, config.input_bins);
  batch.features = context.from(host.features.data(), {host.B, host.F, host.bins});
  add_targets(batch, host.targets, context, config);
  if (!host.state_labels.empty()) {
    std::vector<int64_t> labels(host.state_labels.begin(), host.state_labels.end());
    for (int64_t& l : labels) l = l < 0 ? -100 : l;
    batch.frame_labels = context.from(labels.data(), {host.B, int64_t(labels.size()) / host.B});
  }
  return batch;
}

SourceTokens source_tokens(const std::vector<std::vector<int32_t>>& sentences, Context& context, const TransformerConfig& config) {
  SourceTokens s;
  size_t S = 0;
  for (const auto& ids : sentences) S = std::max(S, ids.size() + 1);
  std::vector<int64_t> all(sentences.size() * S, config.pad_token);
  for (size_t b = 0; b < sentences.size(); ++b) {
    std::copy(sentences[b].begin(), sentences[b].end(), all.begin() + int64_t(b * S));
    all[b * S + sentences[b].size()] = config.eos_token;
    s.lengths.push_back(int32_t(sentences[b].size() + 1));
  }
  s.ids = context.from(all.data(), {int64_t(sentences.size()), int64_t(S)});
  return s;
}

TextBatch text_batch(const TextDataset& data, std::span<const int64_t> indices, Context& context, const TransformerConfig& config) {
  std::vector<std::vector<int32_t>> sources, targets;
  for (const int64_t i : indices) sources.push_back(data.source(i)), targets.push_back(data.target(i));
  TextBatch batch;
  SourceTokens source = source_tokens(sources, context, config);
  batch.source = std::move(source.ids);
  batch.source_lengths = std::move(source.lengths);
  add_targets(batch, targets, context, config);
  return batch;
}

}  // namespace alinea
