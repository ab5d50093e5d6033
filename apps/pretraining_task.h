// Pre-training of wav2vec 2.0 from untranscribed speech (Baevski, Zhou, Mohamed, Auli 2020): masked frames are told apart from others of
// the same utterance by their quantised features.
#pragma once
#include <memory>

#include "apps/task.h"
#include "apps/wave_config.h"
#include "data/wave_batches.h"
#include "models/wav2vec2/pretraining.h"

namespace alinea {

struct PretrainingValidation {
  int64_t every = 100, utterances = 100;
  void fields(Config& c) {
    c.field("every", every, "steps between validations; 0: only at the end");
    c.field("utterances", utterances, "utterances of the dev set; 0: all");
  }
};

struct PretrainingConfig : TrainConfig {
  std::string stage = "pretrain";
  Wav2Vec2Config model;
  WaveConfig waves;
  TemperatureSchedule temperature;
  double feature_penalty = 0;
  PretrainingValidation validation;

  void fields(Config& c) {
    c.field("stage", stage, "pretrain (from untranscribed speech) or ctc (letters)");
    TrainConfig::fields(c);
    c.field("model", model,
            "Hugging Face's config.json; taken from the initial model where there is one, what is written here goes before it");
    c.field("waves", waves, "which speech, and how much of it at once");
    c.field("temperature", temperature, "of the Gumbel softmax that chooses codes");
    c.field("feature_penalty", feature_penalty, "weight of the mean square of the convolutions' output; 10 for the base model of fairseq");
    c.field("validation", validation, "losses and use of the codes on the dev set");
  }
  void check() const {
    TrainConfig::check();
    waves.check();
    model.check();
    require(model.has_mask_vector(), "train: pre-training needs model.mask_time_prob above 0 (0.65 in the paper)");
    require(temperature.floor > 0 && temperature.start >= temperature.floor && temperature.decay > 0 && temperature.decay <= 1,
            "train: temperature needs 0 < floor ≤ start and decay in (0, 1], not floor {}, start {} and decay {}", temperature.floor,
            temperature.start, temperature.decay);
    require(feature_penalty >= 0, "train: feature_penalty {} must not be negative", feature_penalty);
    require(validation.utterances >= 0, "train: validation.utterances must not be negative");
  }
};

class PretrainingTask final : public Task {
 public:
  PretrainingTask(Context& context, const PretrainingConfig& config, const std::filesystem::path& init);

  const TrainConfig& config() const override { return config_; }
  Config resolved() const override;
  std::string title() const override { return "pretrain"; }
  int64_t validation_every() const override { return config_.validation.every; }
  Module& model() override { return *model_; }
  std::span<const std::string_view> terms() const override { return term_names_; }
  void start(BatchNumbers numbers) override { batches_.start(numbers); }
  BatchLoss next_loss(const Pass& pass) override;
  Validation validate(int64_t step, std::span<const double> terms) override;
  void save(const std::filesystem::path& folder) override;

 private:
  Context& context_;
  PretrainingConfig config_;
  WaveDataset train_, dev_;
  std::unique_ptr<Wav2Vec2ForPreTraining> model_;
  WaveBatches batches_;
  std::vector<std::string> names_;  // of the terms: the codebooks have numbers
  std::vector<std::string_view> term_names_;
};

}  // namespace alinea
