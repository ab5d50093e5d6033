// What a training task gives to the one training loop: batches and their loss, validation, and the files beside the weights.
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/train_config.h"
#include "data/batches.h"
#include "nn/layers.h"

namespace alinea {

/// A number for the log: known, or one element of a tensor (none: 0), which on a GPU is read when the whole step has been handed over.
struct Figure {
  Figure(double value) : number(value) {}
  Figure(Tensor value) : tensor(std::move(value)) {}
  double number = 0;
  Tensor tensor;
};
/// All of them; waits once, if one is on a GPU.
std::vector<double> read_figures(const std::vector<Figure>& figures);

struct BatchLoss {
  Variable total;
  std::vector<Figure> terms;  // of Task::terms()
  int64_t tokens = 0;         // target tokens learnt from
};

struct Validation {
  std::vector<std::pair<std::string_view, double>> metrics;
  double quality = 0;    // decides which checkpoint is best; higher is better
  std::string message;   // one line for people
  std::string collapse;  // why training is hopeless, or empty
};

class Task {
 public:
  virtual ~Task() = default;
  virtual const TrainConfig& config() const = 0;
  /// The whole configuration with what the data and the initial model decided.
  virtual Config resolved() const = 0;
  virtual std::string title() const = 0;
  virtual int64_t validation_every() const = 0;  // steps; 0: only at the end
  virtual Module& model() = 0;
  virtual std::span<const std::string_view> terms() const = 0;

  /// These batches of the run come next. Batch n is a pure function of (data, configuration, n).
  virtual void start(BatchNumbers numbers) = 0;
  virtual BatchLoss next_loss(const Pass& pass) = 0;
  /// terms: of the newest step.
  virtual Validation validate(int64_t step, std::span<const double> terms) = 0;
  /// The model and its vocabularies.
  virtual void save(const std::filesystem::path& folder) = 0;
};

/// The task that the configuration's model.model_type (or else the initial model's) names. Unknown keys are errors. init: a model directory
/// or run to start from, or empty.
std::unique_ptr<Task> make_task(Context& context, Config file, const std::filesystem::path& init);

/// Throws what make_task would throw for this configuration whatever the data: unknown keys, impossible sizes, unknown names.
void check_train_config(Context& context, Config file, const std::filesystem::path& init);

/// The model directory of a run (its best checkpoint, or `last`), or the directory itself.
std::filesystem::path model_path(const std::filesystem::path& run_or_model, bool best = true);

}  // namespace alinea
