#include "apps/batch.h"

namespace alinea {

S2TBatch to_device(const HostBatch& host, Context& context, const S2TConfig& config) {
  S2TBatch batch{.frames = host.frames};
  require_data(host.bins == config.input_bins, "train: the data has {} feature bins, the model takes {}", host.bins, config.input_bins);
  batch.features = context.from(host.features.data(), {host.B, host.F, host.bins});
  int64_t T = 0;
  for (const auto& t : host.targets) T = std::max(T, int64_t(t.size()) + 1);
  std::vector<int64_t> in(size_t(host.B * T), config.pad_token), out(size_t(host.B * T), -100);
  for (int64_t b = 0; b < host.B; ++b) {
    const auto& t = host.targets[size_t(b)];
    in[size_t(b * T)] = config.bos_token;
    for (size_t i = 0; i < t.size(); ++i) {
      in[size_t(b * T) + i + 1] = t[i];
      out[size_t(b * T) + i] = t[i];
    }
    out[size_t(b * T) + t.size()] = config.eos_token;
    batch.target_lengths.push_back(int32_t(t.size() + 1));
  }
  batch.decoder_in = context.from(in.data(), {host.B, T});
  batch.labels = context.from(out.data(), {host.B, T});
  if (!host.state_labels.empty()) {
    std::vector<int64_t> labels(host.state_labels.begin(), host.state_labels.end());
    for (int64_t& l : labels) l = l < 0 ? -100 : l;
    batch.frame_labels = context.from(labels.data(), {host.B, int64_t(labels.size()) / host.B});
  }
  return batch;
}

}  // namespace alinea
