// Speech translation from two pretrained halves: wav2vec 2.0 reads the wave, mBART's decoder writes the translation (Li et al. 2021,
// "Multilingual speech translation from efficient finetuning of pretrained models"; Hugging Face's SpeechEncoderDecoderModel).
//
//   wave -> Wav2Vec2 (with its adapter) -> [linear, where the widths differ] -> cross attention of the decoder
#pragma once
#include "models/generation.h"
#include "models/hub/speech_encoder_decoder.h"
#include "models/text_decoder.h"
#include "models/wav2vec2/wav2vec2.h"

namespace alinea {

/// One batch. Labels hold -100 where nothing is to be learnt.
struct WaveBatch {
  Tensor samples;                                           // f32 [B, N], normalised as the encoder wants them
  std::vector<int32_t> lengths;                             // real samples per item; empty: all
  Tensor decoder_in, labels;                                // i64 [B, T]
  std::vector<int32_t> target_lengths;                      // real labels per item
};

class SpeechTranslation final : public Module {
 public:
  SpeechTranslation(Context& context, const SpeechEncoderDecoderConfig& config, RandomKey key);

  struct Encoded {
    Variable output;                                        // of the encoder and its adapter [B, S, O]
    Variable states;                                        // what cross attention sees [B, S, C]
    std::vector<int32_t> lengths;                           // real states per item
  };
  Encoded encode(const Tensor& samples, const std::vector<int32_t>& lengths, const Pass& pass);
  /// Logits [B, T, V], teacher forced.
  Variable decode(const Tensor& decoder_in, const Encoded& encoded, const Pass& pass);
  /// Mean cross entropy of the labels, smoothed over the vocabulary.
  Variable loss(const WaveBatch& batch, double smoothing, const Pass& pass);
  Generation translate(const Tensor& samples, const std::vector<int32_t>& lengths, const GenerationConfig& options);

  const SpeechEncoderDecoderConfig& config() const { return config_; }
  Context& context() const { return encoder_.context(); }
  Wav2Vec2& encoder() { return encoder_; }
  TextDecoder& decoder() { return decoder_; }
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  SpeechEncoderDecoderConfig config_;
  Wav2Vec2 encoder_;
  LinearLayer projection_;                                  // enc_to_dec_proj; without values where the widths agree
  TextDecoder decoder_;
};

}  // namespace alinea
