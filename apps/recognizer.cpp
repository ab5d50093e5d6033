#include "apps/recognizer.h"

#include "models/hub/wav2vec2.h"

namespace alinea {

Recognizer::Recognizer(const std::filesystem::path& directory, Context& context)
    : context_(context), features_(FeatureExtractor::open(directory)), tokenizer_(open_ctc_tokenizer(directory)), model_(load_wav2vec2_ctc(directory, context)) {
  const Wav2Vec2Config& config = model_->config();
  require_data(!features_.makes_filter_banks(), "{}: the model hears samples, and preprocessor_config.json makes filter banks of them", directory.string());
  require_data(config.pad_token_id == tokenizer_->blank(), "{}: the blank is {} in config.json (pad_token_id) and {} in the tokenizer (pad_token)", directory.string(),
               config.pad_token_id, tokenizer_->blank());
}

double Recognizer::seconds_per_frame() const {
  const Wav2Vec2Config& c = model_->config();
  double samples = 1;
  for (const int64_t stride : c.conv_stride) samples *= double(stride);
  for (int64_t i = 0; c.add_adapter && i < c.num_adapter_layers; ++i) samples *= double(c.adapter_stride);
  return samples / rate();
}

CtcFrames Recognizer::listen(const std::vector<float>& samples, const std::string& place) {
  const int64_t least = model_->config().receptive_field();
  require_data(int64_t(samples.size()) >= least, "{}: {} samples ({:.1f} ms) are too few: the model needs {} ({:.1f} ms) for one frame", place, samples.size(),
               1e3 * double(samples.size()) / rate(), least, 1e3 * double(least) / rate());
  const FeatureBatch batch = features_(std::span(&samples, 1));
  const Tensor input = context_.from(batch.values.data(), {1, batch.length});
  const Tensor logits = model_->forward(input, batch.lengths, {}, {}, Pass{}).logits.value();
  const std::vector<float> values = logits.values<float>();
  return CtcFrames(values, logits.size(-1), tokenizer_->blank());
}

}  // namespace alinea
