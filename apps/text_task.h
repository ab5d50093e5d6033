// Text translation as a training task.
#pragma once
#include <memory>
#include <optional>

#include "apps/task.h"
#include "data/batches.h"
#include "data/text_dataset.h"
#include "models/text_transformer.h"

namespace alinea {

struct TextLossConfig {
  double smoothing = 0.1;
  void fields(Config& c) { c.field("smoothing", smoothing, "label smoothing"); }
  void check() const { require(smoothing >= 0 && smoothing < 1, "train: loss.smoothing {} must lie in [0, 1)", smoothing); }
};

struct TextValidation {
  int64_t every = 200, sentences = 200;
  GenerationConfig decoding{.max_length = 101};
  void fields(Config& c) {
    c.field("every", every, "steps between validations; 0: only at the end");
    c.field("sentences", sentences, "sentences of the dev set that are translated; 0: all. The loss is always that of all");
    c.field("decoding", decoding, "greedy or beam search");
  }
};

struct TextTrainConfig : TrainConfig {
  int64_t batch_tokens = 0;
  TextConfig model;
  TextLossConfig loss;
  TextValidation validation;

  void fields(Config& c) {
    TrainConfig::fields(c);
    c.field("batch_tokens", batch_tokens,
            "instead of `batch`: as many sentences of like length as fit, sentences · longest side; 0: batches of `batch`");
    c.field("model", model, "sizes and choices; taken from the initial model when there is one");
    c.field("loss", loss, "cross entropy");
    c.field("validation", validation, "loss and decoding of the dev set");
  }
  void check() const {
    TrainConfig::check();
    require(batch_tokens >= 0, "train: batch_tokens must not be negative");
    loss.check();
    validation.decoding.check();
  }
};

class TextTask final : public Task {
 public:
  TextTask(Context& context, const TextTrainConfig& config, const std::filesystem::path& init);

  const TrainConfig& config() const override { return config_; }
  Config resolved() const override;
  std::string title() const override { return "text"; }
  int64_t validation_every() const override { return config_.validation.every; }
  Module& model() override { return *model_; }
  std::span<const std::string_view> terms() const override { return {}; }
  void start(BatchNumbers numbers) override;
  BatchLoss next_loss(const Pass& pass) override;
  Validation validate(int64_t step, std::span<const double> terms) override;
  void save(const std::filesystem::path& folder) override;

 private:
  void make_model(const std::filesystem::path& init);
  void tell_counts();

  Context& context_;
  TextTrainConfig config_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  TextDataset train_, dev_;
  std::unique_ptr<TextTransformer> model_;
  std::optional<BatchOrder> order_;
  BatchNumbers numbers_;
  int64_t next_ = 0;                                        // of numbers_
};

}  // namespace alinea
