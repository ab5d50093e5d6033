// Any model on given inputs: the tensors and gradients that `alinea forward` writes. One implementation per architecture.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/ops/cross_entropy.h"
#include "models/generation.h"
#include "models/hub/safetensors.h"
#include "nn/module.h"

namespace alinea {

/// The inputs by name, with the questions that models ask of them. Errors (data) name the input and what is expected.
class NamedInputs {
 public:
  explicit NamedInputs(NamedTensors tensors) : tensors_(std::move(tensors)) {}
  bool has(std::string_view name) const { return bool(find(name)); }
  /// The tensor, or none.
  Tensor find(std::string_view name) const;
  /// The tensor; `shape` says in words what it should be.
  Tensor need(std::string_view name, std::string_view shape) const;
  /// How many leading ones each row of a mask [B, N] holds, or sample_lengths [B], its short form; empty without either. A one after a zero is
  /// refused.
  std::vector<int32_t> lengths(std::string_view mask) const;
  NamedInputs with(std::string_view name, Tensor value) const;
  NamedInputs without(std::string_view name) const;
  const NamedTensors& all() const { return tensors_; }

 private:
  NamedTensors tensors_;
};

/// How the loss departs from what the model's configuration says.
struct LossOverride {
  std::optional<Reduction> reduction;
  std::optional<bool> zero_infinity;                        // CTC
  double smoothing = 0;                                     // cross entropy
  CrossEntropy::Convention convention = CrossEntropy::Convention::torch;
};

struct ForwardOptions {
  bool hidden_states = false;
  bool training = false;                                    // pre-training: Gumbel noise given, straight-through gradients
  LossOverride loss;
};

using NamedVariables = std::vector<std::pair<std::string, Variable>>;

class ForwardModel {
 public:
  virtual ~ForwardModel() = default;
  virtual Module& module() = 0;
  /// The names of the inputs that it understands.
  virtual std::vector<std::string_view> inputs() const = 0;
  /// Everything that the inputs determine; "loss" among it where labels are given. Dropout is off.
  virtual NamedVariables outputs(const NamedInputs& in, const ForwardOptions& options, Tape* tape) = 0;
  /// {sequences, scores (beams)}. settings: Hugging Face's names and values, over the directory's generation_config.json.
  virtual NamedTensors generate(const NamedInputs& in, const std::vector<std::pair<std::string, std::string>>& settings);
};

/// The model of a Hugging Face directory. An architecture that cannot be run so is refused by name.
std::unique_ptr<ForwardModel> open_forward_model(const std::filesystem::path& directory, Context& context);

/// Outputs, and with `gradients` ("all", or parameter names) the gradient of the loss by parameter as grad.NAME, zeros where it does not reach.
NamedTensors run_forward(ForwardModel& model, const NamedInputs& in, const ForwardOptions& options, const std::vector<std::string>& gradients);

}  // namespace alinea
