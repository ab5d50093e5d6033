// From the wave to frames: convolutions without padding, each with GELU; the base models normalise the first over time (group), the
// larger ones each over its channels (layer). Baevski et al. 2020, section 2.
#pragma once
#include "models/wav2vec2/config.h"
#include "nn/layers.h"

namespace alinea {

class Wav2Vec2FeatureEncoder final : public Module {
 public:
  Wav2Vec2FeatureEncoder() = default;
  Wav2Vec2FeatureEncoder(Context& context, const Wav2Vec2Config& config, RandomKey key);
  /// samples [B, N] -> frames [B, T, C].
  Variable forward(const Tensor& samples, Tape* tape);
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  struct Layer {
    Conv1dLayer conv;
    LayerNormLayer norm;                                    // without values where the layer has no norm
  };
  std::vector<Layer> layers_;
  bool over_time_ = false;
  bool relu_ = false;
};

}  // namespace alinea
