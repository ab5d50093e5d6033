// Fine-tuning wav2vec 2.0 on transcripts in letters (CTC), from a pre-training run, a directory of Hugging Face's or random weights.
#pragma once
#include <memory>

#include "apps/ctc_evaluate.h"
#include "apps/task.h"
#include "apps/wave_config.h"
#include "data/wave_batches.h"

namespace alinea {

struct CtcValidation {
  int64_t every = 100, utterances = 0, train_utterances = 0;
  void fields(Config& c) {
    c.field("every", every, "steps between validations; 0: only at the end");
    c.field("utterances", utterances, "utterances of the dev set that are recognised; 0: all");
    c.field("train_utterances", train_utterances,
            "so many of the training utterances are recognised too, and decide which checkpoint is best; 0: none, dev decides");
  }
};

struct CtcTrainConfig : TrainConfig {
  std::string stage = "ctc";
  Wav2Vec2Config model;
  WaveConfig waves;
  int64_t mask_after = 0;
  CtcValidation validation;

  void fields(Config& c) {
    c.field("stage", stage, "pretrain (from untranscribed speech) or ctc (letters)");
    TrainConfig::fields(c);
    c.field("model", model,
            "Hugging Face's config.json; taken from the initial model where there is one, what is written here goes before it");
    c.field("waves", waves, "which speech, and how much of it at once");
    c.field("mask_after", mask_after, "no frames and channels are masked in so many first steps");
    c.field("validation", validation, "greedy recognition of the dev set");
  }
  void check() const {
    TrainConfig::check();
    waves.check();
    model.check();
    require(mask_after >= 0 && validation.utterances >= 0 && validation.train_utterances >= 0,
            "train: mask_after, validation.utterances and validation.train_utterances must not be negative");
  }
};

class CtcTask final : public Task {
 public:
  CtcTask(Context& context, const CtcTrainConfig& config, const std::filesystem::path& init);

  const TrainConfig& config() const override { return config_; }
  Config resolved() const override;
  std::string title() const override { return "ctc"; }
  int64_t validation_every() const override { return config_.validation.every; }
  Module& model() override { return *model_; }
  std::span<const std::string_view> terms() const override;
  void start(BatchNumbers numbers) override { batches_.start(numbers); }
  BatchLoss next_loss(const Pass& pass) override;
  Validation validate(int64_t step, std::span<const double> terms) override;
  void save(const std::filesystem::path& folder) override;

 private:
  void make_model(const std::filesystem::path& init);

  Context& context_;
  CtcTrainConfig config_;
  CtcTokenizer tokenizer_;
  WaveDataset train_, dev_;
  std::unique_ptr<Wav2Vec2ForCTC> model_;
  WaveBatches batches_;
};

}  // namespace alinea
