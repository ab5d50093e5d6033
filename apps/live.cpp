#include "apps/live.h"

namespace alinea {

LiveTranslator::LiveTranslator(S2TTransformer& model, Context& context, const StreamOptions& options)
    : model_(model),
      context_(context),
      mel_(LogMelOptions{.bins = int(model.config().input_bins)}),
      encoder_(model.encoder().begin(model.config().max_positions)),
      decoder_(model, options, model.config().max_positions) {}

std::vector<LiveTranslator::Event> LiveTranslator::events(std::vector<Decision> decisions) const {
  std::vector<Event> all;
  for (Decision& d : decisions) {
    const double at = d.forced ? source_ms() : heard_ms(model_.config(), d.states_read, source_ms());
    all.push_back({std::move(d), at});
  }
  return all;
}

Tensor LiveTranslator::encode(int64_t frames) {
  const int64_t bins = model_.config().input_bins;
  const Tensor features = context_.from(frames_.data(), {1, frames, bins});
  frames_.erase(frames_.begin(), frames_.begin() + frames * bins);
  return model_.encoder().push(encoder_, features);
}

std::vector<LiveTranslator::Event> LiveTranslator::accept(std::span<const float> samples) {
  const S2TConfig& config = model_.config();
  samples_ += int64_t(samples.size());
  for (const float x : mel_.accept(samples)) frames_.push_back(float((x - config.feature_mean) / config.feature_scale));
  const int64_t chunk = config.encoder_chunk * config.frames_per_state();
  std::vector<Event> all;
  while (int64_t(frames_.size()) >= chunk * config.input_bins)
    for (Event& e : events(decoder_.push(encode(chunk)))) all.push_back(std::move(e));
  return all;
}

std::vector<LiveTranslator::Event> LiveTranslator::finish() {
  const S2TConfig& config = model_.config();
  const int64_t left = int64_t(frames_.size()) / config.input_bins, step = config.frames_per_state(), whole = (left + step - 1) / step * step;
  if (whole > 0) {
    frames_.resize(size_t(whole * config.input_bins), float(config.feature_padding));
    decoder_.read(encode(whole));
  }
  return events(decoder_.finish());
}

std::string describe(const Decision& d, const Vocabulary& target, int64_t policy_heads) {
  const std::string word = target.word(d.token);
  if (d.forced) return fmt::format("write '{}' (the source has ended)", word);
  if (d.votes.empty()) return fmt::format("{} '{}'", d.write ? "write" : "read on before", word);
  if (d.write) return fmt::format("write '{}' p {:.2f}", word, d.p);
  const std::string who = policy_heads == 1 ? fmt::format("layer {}", d.slowest.layer + 1) : fmt::format("layer {} head {}", d.slowest.layer + 1, d.slowest.head + 1);
  if (d.token == Vocabulary::edge) return fmt::format("read on: the sentence cannot end before the source does (p {:.2f})", d.p);
  return fmt::format("read on: {} holds '{}' back, p {:.2f}", who, word, d.slowest.p);
}

}  // namespace alinea
