#include "models/speech_translation.h"

#include "autograd/cross_entropy.h"
#include "autograd/layout.h"

namespace alinea {

namespace {

SpeechEncoderDecoderConfig checked(const SpeechEncoderDecoderConfig& config) {
  config.check();
  return config;
}

}  // namespace

SpeechTranslation::SpeechTranslation(Context& context, const SpeechEncoderDecoderConfig& config, RandomKey key)
    : config_(checked(config)), encoder_(context, config.encoder, key.child("encoder")), decoder_(context, config.decoder.decoder(), key.child("decoder")) {
  if (config.has_projection()) projection_ = LinearLayer(context, config.encoder.output_size(), config.decoder.d_model, key.child("enc_to_dec_proj"));
}

SpeechTranslation::Encoded SpeechTranslation::encode(const Tensor& samples, const std::vector<int32_t>& lengths, const Pass& pass) {
  const Wav2Vec2::Output out = encoder_.forward(samples, lengths, pass.child("encoder"));
  return {out.states, projection_.weight.value ? projection_(out.states, pass.tape) : out.states, out.lengths};
}

Variable SpeechTranslation::decode(const Tensor& decoder_in, const Encoded& encoded, const Pass& pass) {
  return decoder_.forward(decoder_in, encoded.states, Mask{.source_lengths = encoded.lengths}, false, {}, pass.child("decoder")).logits;
}

Variable SpeechTranslation::loss(const WaveBatch& batch, double smoothing, const Pass& pass) {
  const Variable logits = decode(batch.decoder_in, encode(batch.samples, batch.lengths, pass), pass);
  const int64_t rows = batch.labels.count();
  return cross_entropy(reshape(logits, {rows, logits.size(2)}), batch.labels.reshape({rows}), CrossEntropy{.smoothing = smoothing});
}

Generation SpeechTranslation::translate(const Tensor& samples, const std::vector<int32_t>& lengths, const GenerationConfig& options) {
  const Encoded encoded = encode(samples, lengths, {});
  return decoder_.generate(encoded.states.value(), encoded.lengths, {}, options);
}

void SpeechTranslation::visit(const std::string& prefix, const Visitor& v) {
  encoder_.visit(path(prefix, "encoder"), v);
  if (projection_.weight.value) projection_.visit(path(prefix, "enc_to_dec_proj"), v);
  decoder_.visit(path(prefix, "decoder"), v);
}

}  // namespace alinea
