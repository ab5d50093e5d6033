#include "apps/sound_evaluate.h"

#include <algorithm>

#include "apps/batch.h"
#include "data/batches.h"

namespace alinea {

namespace {

Variable loss_of(SpeechTranslation& model, const WaveBatch& batch, double smoothing, const Pass& pass) { return model.loss(batch, smoothing, pass); }
Variable loss_of(S2TTransformer& model, const S2TBatch& batch, double smoothing, const Pass& pass) {
  return model.loss(batch, CrossAttention::full, LossConfig{.smoothing = smoothing, .frame = 0}, pass).total;
}

WaveBatch empty_batch(const SpeechTranslation&) { return {}; }
S2TBatch empty_batch(const S2TTransformer&) { return {}; }
int64_t pad_of(const SpeechTranslation& model) { return model.config().pad_token_id; }
int64_t pad_of(const S2TTransformer& model) { return model.config().pad_token; }

Shape shape_of(const HostWaves& batch) { return batch.width == 1 ? Shape{batch.B, batch.N} : Shape{batch.B, batch.N, batch.width}; }

}  // namespace

std::vector<std::vector<int32_t>> sound_labels(const WaveDataset& data, const HostWaves& batch, const Tokenizer& tokenizer) {
  std::vector<std::vector<int32_t>> labels;
  for (const int64_t i : batch.indices)
    labels.push_back(tokenizer.encode(data.row(i).tgt_text, Side::target, language_code(tokenizer, data.row(i).tgt_lang)));
  return labels;
}

template <class Model>
SoundLoss sound_loss(Model& model, Context& context, const WaveDataset& data, const HostWaves& batch, const Tokenizer& tokenizer, double smoothing, const Pass& pass) {
  auto device = empty_batch(model);
  to_device(batch, sound_labels(data, batch, tokenizer), tokenizer, pad_of(model), context, device);
  SoundLoss loss{loss_of(model, device, smoothing, pass)};
  for (const int32_t n : device.target_lengths) loss.labels += n;
  return loss;
}

template <class Model>
std::vector<std::string> translate_sounds(Model& model, Context& context, const HostWaves& batch, const Tokenizer& tokenizer, const GenerationConfig& config) {
  const Generation out = model.translate(context.from(batch.values.data(), shape_of(batch)), batch.width == 1 ? batch.visible() : batch.lengths, config);
  std::vector<std::string> texts;
  for (int64_t b = 0; b < batch.B; ++b) texts.push_back(tokenizer.decode(out.tokens(size_t(b))));
  return texts;
}

template <class Model>
SoundScores evaluate_sounds(Model& model, Context& context, const WaveDataset& data, const Tokenizer& tokenizer, const GenerationConfig& settings, int64_t utterances) {
  const GenerationConfig config = for_language(settings, tokenizer, data.row(0).tgt_lang);
  const int64_t count = utterances > 0 ? std::min(utterances, data.size()) : data.size();
  SoundScores scores;
  std::vector<std::string> references;
  double labels = 0;
  for (const auto& indices : plan_in_order(count, data.features().return_attention_mask ? 8 : 1)) {
    const HostWaves batch = load_waves(data, indices);
    const SoundLoss loss = sound_loss(model, context, data, batch, tokenizer, 0, {});
    scores.loss += double(loss.labels) * loss.mean.value().item();
    labels += double(loss.labels);
    for (std::string& text : translate_sounds(model, context, batch, tokenizer, config)) scores.hypotheses.push_back(std::move(text));
    references.insert(references.end(), batch.texts.begin(), batch.texts.end());
  }
  scores.loss /= labels;
  scores.text = score_text(scores.hypotheses, references);
  return scores;
}

template SoundLoss sound_loss(SpeechTranslation&, Context&, const WaveDataset&, const HostWaves&, const Tokenizer&, double, const Pass&);
template SoundLoss sound_loss(S2TTransformer&, Context&, const WaveDataset&, const HostWaves&, const Tokenizer&, double, const Pass&);
template std::vector<std::string> translate_sounds(SpeechTranslation&, Context&, const HostWaves&, const Tokenizer&, const GenerationConfig&);
template std::vector<std::string> translate_sounds(S2TTransformer&, Context&, const HostWaves&, const Tokenizer&, const GenerationConfig&);
template SoundScores evaluate_sounds(SpeechTranslation&, Context&, const WaveDataset&, const Tokenizer&, const GenerationConfig&, int64_t);
template SoundScores evaluate_sounds(S2TTransformer&, Context&, const WaveDataset&, const Tokenizer&, const GenerationConfig&, int64_t);

}  // namespace alinea
