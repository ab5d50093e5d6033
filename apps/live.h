// Translation while the audio arrives: samples in, decisions out. Everything is computed once: log-mel frames, encoder chunks, tokens.
#pragma once
#include "apps/evaluate.h"
#include "data/features/log_mel.h"

namespace alinea {

class LiveTranslator {
 public:
  LiveTranslator(S2TTransformer& model, Context& context, const StreamOptions& options);

  struct Event {
    Decision decision;
    double heard_ms = 0;                                    // source that had arrived when the decision fell
  };
  /// Samples in ±1 at 16 kHz, any number.
  std::vector<Event> accept(std::span<const float> samples);
  /// The audio has ended: the rest of the words.
  std::vector<Event> finish();
  double source_ms() const { return double(samples_) / 16.0; }

 private:
  std::vector<Event> events(std::vector<Decision> decisions) const;
  Tensor encode(int64_t frames);

  S2TTransformer& model_;
  Context& context_;
  LogMelStream mel_;
  SpeechEncoder::Stream encoder_;
  SimultaneousDecoder decoder_;
  std::vector<float> frames_;                               // normalised, not yet encoded
  int64_t samples_ = 0;
};

/// How a decision reads in a trace: "write 'drei' p 0.97" or "read on: layer 2 holds 'drei' back, p 0.08".
std::string describe(const Decision& decision, const Vocabulary& target, int64_t policy_heads);

}  // namespace alinea
