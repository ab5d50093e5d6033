// Speech translation as a training task: offline models, then EMMA or wait-k from them.
#pragma once
#include <memory>

#include "apps/evaluate.h"
#include "apps/task.h"
#include "data/dataset.h"
#include "models/s2t_transformer.h"

namespace alinea {

struct SpeechValidation {
  int64_t every = 200, sentences = 100, max_tokens = 60, wait_k = 3;
  double threshold = 0.5;
  void fields(Config& c) {
    c.field("every", every, "steps between validations; 0: only at the end");
    c.field("sentences", sentences, "sentences of the dev set that are decoded; 0: all");
    c.field("max_tokens", max_tokens, "longest output");
    c.field("wait_k", wait_k, "k of the wait-k validation");
    c.field("threshold", threshold, "EMMA's decision threshold");
  }
};

struct WaitKConfig {
  int64_t min_k = 1, max_k = 10, ratio = 8;
  void fields(Config& c) {
    c.field("min_k", min_k, "smallest k drawn for a step (multi-path)");
    c.field("max_k", max_k, "largest k");
    c.field("ratio", ratio, "encoder states per token");
  }
};

/// Changes to the training examples, drawn anew each time one is loaded.
struct AugmentConfig {
  double speed_low = 1, speed_high = 1, gain_decibels = 0;
  int64_t freq_masks = 0, freq_width = 27, time_masks = 0, time_width = 100;
  void fields(Config& c) {
    c.field("speed_low", speed_low, "slowest speed; other than 1: features are computed anew from the audio");
    c.field("speed_high", speed_high, "fastest speed");
    c.field("gain_decibels", gain_decibels, "loudness changes by up to so many decibels");
    c.field("freq_masks", freq_masks, "SpecAugment: masked bands");
    c.field("freq_width", freq_width, "SpecAugment: widest band");
    c.field("time_masks", time_masks, "SpecAugment: masked stretches");
    c.field("time_width", time_width, "SpecAugment: longest stretch in frames");
  }
  Augmentation augmentation() const {
    Augmentation a{.speed_low = speed_low, .speed_high = speed_high, .gain_decibels = gain_decibels};
    if (freq_masks > 0 || time_masks > 0)
      a.spec_augment = SpecAugment{.freq_masks = freq_masks, .freq_width = freq_width, .time_masks = time_masks, .time_width = time_width};
    return a;
  }
};

struct SpeechTrainConfig : TrainConfig {
  std::string stage = "offline";
  S2TConfig model;
  LossConfig loss;
  WaitKConfig waitk;
  SpeechValidation validation;
  AugmentConfig augment;

  void fields(Config& c) {
    c.field("stage", stage, "offline, emma (fine-tunes an offline model) or waitk (multi-path)");
    TrainConfig::fields(c);
    c.field("model", model, "sizes and choices; taken from the initial model when there is one");
    c.field("loss", loss, "weights of the loss terms");
    c.field("waitk", waitk, "multi-path wait-k");
    c.field("augment", augment, "changes to the training examples");
    c.field("validation", validation, "decoding of the dev set");
  }
  void check() const {
    TrainConfig::check();
    require(stage == "offline" || stage == "emma" || stage == "waitk", "train: stage '{}' is not offline, emma or waitk", stage);
    require(waitk.min_k >= 1 && waitk.max_k >= waitk.min_k && waitk.ratio >= 1, "train: waitk needs 1 ≤ min_k ≤ max_k and ratio ≥ 1");
  }
};

class SpeechTask final : public Task {
 public:
  SpeechTask(Context& context, const SpeechTrainConfig& config, const std::filesystem::path& init);

  const TrainConfig& config() const override { return config_; }
  Config resolved() const override;
  std::string title() const override { return config_.stage; }
  int64_t validation_every() const override { return config_.validation.every; }
  Module& model() override { return *model_; }
  std::span<const std::string_view> terms() const override;
  void start(BatchNumbers numbers) override;
  BatchLoss next_loss(const Pass& pass) override;
  Validation validate(int64_t step, std::span<const double> terms) override;
  void save(const std::filesystem::path& folder) override;

 private:
  void make_model(const std::filesystem::path& init);
  S2TLoss batch_loss(const S2TBatch& batch, const Pass& pass);
  std::string collapse(int64_t step, std::span<const double> terms, const EvaluationScores& scores) const;

  Context& context_;
  SpeechTrainConfig config_;
  SpeechDataset train_, dev_;
  Vocabulary source_, target_;
  std::unique_ptr<S2TTransformer> model_;
  std::unique_ptr<BatchOrder> order_;  // before batches_: its thread reads the order
  std::unique_ptr<Prefetcher<HostBatch>> batches_;
};

}  // namespace alinea
