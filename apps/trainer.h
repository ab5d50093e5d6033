// The training loop: one for all tasks. A step is a pure function of (weights, optimiser state, seed, step), so a run that was stopped
// and resumed has the same bytes as one that was not. n processes with `accumulate` a learn from the batches that one with n · a learns from, and
// add up their gradients; the first one logs, validates and saves.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>

#include "apps/progress.h"
#include "apps/run_directory.h"
#include "apps/task.h"
#include "nn/gradient_exchange.h"

namespace alinea {

class Trainer {
 public:
  Trainer(Context& context, std::unique_ptr<Task> task);

  /// Trains until the last step, a signal, or divergence. Returns the process's exit code: 0, or 130/143 after saving. directory: of the
  /// first process; nullptr in the others.
  int run(RunDirectory* directory, bool quiet);
  void resume(const SavedCheckpoint& checkpoint);
  const Task& task() const { return *task_; }
  int64_t step() const { return step_; }
  /// Nothing is left to do: every step is made, or validation has not improved for early_stop rounds.
  bool finished() const { return step_ >= config_.steps || (config_.early_stop > 0 && without_better_ >= config_.early_stop); }

 private:
  struct StepResult {
    double loss = 0, gradient_norm = 0;
    std::vector<double> terms;
    int64_t tokens = 0;
  };
  StepResult train_step();
  void read(StepResult& result, const std::vector<Figure>& figures, double share);
  void share(StepResult& result);
  double rate() const { return config_.optimizer.lr * config_.schedule.factor(step_, config_.steps); }
  void log(RunDirectory& directory) const;
  double validate(RunDirectory* directory, Progress& progress);
  void save(RunDirectory* directory, std::optional<double> score);
  bool anybody(bool stopped);
  void skip_or_stop(const StepResult& r);

  Context& context_;
  Processes& processes_;
  std::unique_ptr<Task> task_;
  const TrainConfig& config_;
  std::unique_ptr<FlatParameters> parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<GradientExchange> exchange_;
  int64_t step_ = 0, without_better_ = 0;
  int64_t skipped_ = 0, skipped_in_a_row_ = 0;              // steps that left everything as it was, because a number was not finite
  double best_quality_ = -1e30;
  StepResult last_;
};

/// Creates, continues or (when complete) leaves alone the run in `out`. An existing run keeps its own configuration. init: a model
/// directory or run to start from, "" for random weights. Returns the exit code.
int run_training(Context& context, Config file, const std::filesystem::path& out, const std::filesystem::path& init, bool quiet);

}  // namespace alinea
