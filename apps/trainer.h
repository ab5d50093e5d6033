// The training loop: one for all stages. A step is a pure function of (weights, optimiser state, seed, step), so a run that was stopped
// and resumed has the same bytes as one that was not.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>

#include "apps/batch_stream.h"
#include "apps/evaluate.h"
#include "apps/progress.h"
#include "apps/run_directory.h"
#include "apps/train_config.h"

namespace alinea {

class Trainer {
 public:
  /// A new run (init: a model directory or run to start from, "" for random weights) or a resumed one.
  Trainer(Context& context, const TrainConfig& config, const std::filesystem::path& data, const std::filesystem::path& init);

  /// Trains until the last step, a signal, or divergence. Returns the process's exit code: 0, or 130/143 after saving.
  int run(RunDirectory& directory, bool quiet);
  void resume(const SavedCheckpoint& checkpoint);
  const TrainConfig& config() const { return config_; }
  int64_t step() const { return step_; }
  /// Nothing is left to do: every step is made, or validation has not improved for early_stop rounds.
  bool finished() const { return step_ >= config_.steps || (config_.early_stop > 0 && without_better_ >= config_.early_stop); }

 private:
  struct StepResult {
    double loss = 0, cross_entropy = 0, frame = 0, latency = 0, variance = 0, gradient_norm = 0;
    int64_t tokens = 0;
  };
  StepResult train_step();
  S2TLoss batch_loss(const S2TBatch& batch, const Pass& pass);
  EvaluationScores validate(RunDirectory& directory);
  void check_collapse(const EvaluationScores& scores) const;
  void save(RunDirectory& directory, std::optional<double> score);
  void refuse_divergence(const StepResult& r) const;

  Context& context_;
  TrainConfig config_;
  std::filesystem::path data_path_;
  SpeechDataset train_, dev_;
  Vocabulary source_, target_;
  std::unique_ptr<S2TTransformer> model_;
  std::unique_ptr<FlatParameters> parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<BatchStream> batches_;
  int64_t step_ = 0, without_better_ = 0;
  double best_quality_ = -1e30;
  StepResult last_;
};

/// Creates, continues or (when complete) leaves alone the run in `out`. An existing run keeps its own configuration. Returns the exit code.
int run_training(Context& context, Config file, const std::filesystem::path& out, const std::filesystem::path& init, bool quiet);

/// The model directory of a run (its best checkpoint, or `last`), or the directory itself.
std::filesystem::path model_path(const std::filesystem::path& run_or_model, bool best = true);

}  // namespace alinea
