// Fine-tuning speech translation from Hugging Face's directories: a speech-encoder-decoder (whole, or a wav2vec2 and an mBART put together)
// or a Speech2Text.
#pragma once
#include <memory>

#include "apps/sound_evaluate.h"
#include "apps/text_task.h"
#include "apps/wave_config.h"
#include "data/wave_batches.h"

namespace alinea {

template <class ModelConfig>
struct SoundTrainConfig : TrainConfig {
  std::string decoder_from;
  ModelConfig model;
  WaveConfig waves;
  TextLossConfig loss;
  TextValidation validation;

  void fields(Config& c) {
    TrainConfig::fields(c);
    c.field("decoder_from", decoder_from, "run or directory of an mBART whose decoder writes what the wav2vec2 that training starts from has heard");
    c.field("model", model, "taken from the initial model, what is written here goes before it; of speech_to_text only the dropout");
    c.field("waves", waves, "which speech, and how much of it at once");
    c.field("loss", loss, "cross entropy");
    c.field("validation", validation, "loss and decoding of the dev set");
  }
  void check() const {
    TrainConfig::check();
    model.check();
    waves.check();
    loss.check();
    validation.decoding.check();
  }
};

/// Model: SpeechTranslation or S2TTransformer.
template <class Model>
class SoundTask final : public Task {
 public:
  using TrainingConfig = SoundTrainConfig<std::remove_cvref_t<decltype(std::declval<Model&>().config())>>;

  /// What the file says goes before what the initial model says.
  static TrainingConfig read(Config file, const std::filesystem::path& init);
  SoundTask(Context& context, const TrainingConfig& config, const std::filesystem::path& init);

  const TrainConfig& config() const override { return config_; }
  Config resolved() const override;
  std::string title() const override { return "sound"; }
  int64_t validation_every() const override { return config_.validation.every; }
  Module& model() override { return *model_; }
  std::span<const std::string_view> terms() const override;
  void start(BatchNumbers numbers) override { batches_.start(numbers); }
  BatchLoss next_loss(const Pass& pass) override;
  Validation validate(int64_t step, std::span<const double> terms) override;
  void save(const std::filesystem::path& folder) override;

 private:
  Context& context_;
  TrainingConfig config_;
  std::unique_ptr<Tokenizer> tokenizer_;
  FeatureExtractor features_;
  WaveDataset train_, dev_;
  std::unique_ptr<Model> model_;
  WaveBatches batches_;
};

}  // namespace alinea
