#include "apps/batch.h"

namespace alinea {

namespace {

Tensor padded(const std::vector<std::vector<int32_t>>& rows, int64_t filler) {
  size_t longest = 0;
  for (const auto& row : rows) longest = std::max(longest, row.size());
  std::vector<int64_t> all(rows.size() * longest, filler);
  for (size_t b = 0; b < rows.size(); ++b) std::copy(rows[b].begin(), rows[b].end(), all.begin() + int64_t(b * longest));
  return Context::cpu().from(all.data(), {int64_t(rows.size()), int64_t(longest)});
}

std::vector<int32_t> sizes_of(const std::vector<std::vector<int32_t>>& rows) {
  std::vector<int32_t> sizes;
  for (const auto& row : rows) sizes.push_back(int32_t(row.size()));
  return sizes;
}

/// decoder_in, labels and target_lengths of any batch.
template <class Batch>
void add_targets(Batch& batch, const std::vector<std::vector<int32_t>>& labels, const std::vector<std::vector<int32_t>>& decoder_in, int64_t pad) {
  batch.target_lengths = sizes_of(labels);
  batch.decoder_in = padded(decoder_in, pad);
  batch.labels = padded(labels, -100);
}

template <class Batch>
void add_targets(Batch& batch, const std::vector<std::vector<int32_t>>& labels, const Tokenizer& tokenizer, int64_t pad) {
  std::vector<std::vector<int32_t>> decoder_in;
  for (const auto& row : labels) decoder_in.push_back(tokenizer.decoder_input(row));
  add_targets(batch, labels, decoder_in, pad);
}

}  // namespace

S2TBatch to_device(const HostBatch& host, Context& context, const S2TConfig& config) {
  S2TBatch batch{.frames = host.frames};
  require_data(host.bins == config.input_bins, "train: the data has {} feature bins, the model takes {}", host.bins, config.input_bins);
  batch.features = context.from(host.features.data(), {host.B, host.F, host.bins});
  std::vector<std::vector<int32_t>> labels = host.targets, decoder_in = host.targets;
  for (auto& row : labels) row.push_back(int32_t(config.eos_token));
  for (auto& row : decoder_in) row.insert(row.begin(), int32_t(config.bos_token));
  add_targets(batch, labels, decoder_in, config.pad_token);
  if (!host.state_labels.empty()) {
    std::vector<int64_t> labels(host.state_labels.begin(), host.state_labels.end());
    for (int64_t& l : labels) l = l < 0 ? -100 : l;
    batch.frame_labels = Context::cpu().from(labels.data(), {host.B, int64_t(labels.size()) / host.B});
  }
  return batch;
}

SourceTokens source_tokens(const std::vector<std::vector<int32_t>>& sentences, const TransformerConfig& config) {
  return {padded(sentences, config.pad_token), sizes_of(sentences)};
}

TextBatch text_batch(const TextDataset& data, std::span<const int64_t> indices, const TransformerConfig& config) {
  std::vector<std::vector<int32_t>> sources, labels;
  for (const int64_t i : indices) sources.push_back(data.source(i)), labels.push_back(data.labels(i));
  TextBatch batch;
  SourceTokens source = source_tokens(sources, config);
  batch.source = std::move(source.ids);
  batch.source_lengths = std::move(source.lengths);
  add_targets(batch, labels, data.tokenizer(), config.pad_token);
  return batch;
}

void to_device(const HostWaves& host, const std::vector<std::vector<int32_t>>& labels, const Tokenizer& tokenizer, int64_t pad, Context& context, WaveBatch& batch) {
  batch.samples = context.from(host.values.data(), {host.B, host.N});
  batch.lengths = host.visible();
  add_targets(batch, labels, tokenizer, pad);
}

void to_device(const HostWaves& host, const std::vector<std::vector<int32_t>>& labels, const Tokenizer& tokenizer, int64_t pad, Context& context, S2TBatch& batch) {
  batch.features = context.from(host.values.data(), {host.B, host.N, host.width});
  batch.frames = host.lengths;
  add_targets(batch, labels, tokenizer, pad);
}

}  // namespace alinea
