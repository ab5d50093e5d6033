// Weights between files and modules, by name. Strict: what is missing, unexpected or misshapen is listed, nothing is skipped silently.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "models/hub/checkpoint.h"
#include "nn/module.h"

namespace alinea {

/// How the names of a file meet the names of a module. Patterns are whole names in which * stands for any characters.
struct LoadRules {
  struct Alias {
    std::string name, parameter;                            // a file may call `parameter` by `name`, too (tied weights)
  };
  /// The module's name for a name of the file, for checkpoints of a model that holds this one or is held by it; empty: not wanted.
  std::function<std::string(const std::string&)> rename = {};
  std::vector<Alias> aliases = {};
  std::vector<std::string> optional = {};                   // parameters that may be missing: they keep their values
  std::vector<std::string> ignored = {};                    // tensors of the file that no parameter needs
  std::vector<std::string> bf16 = {};                       // parameters stored in bf16, half the memory; the others are f32
};

/// Fills every parameter of a module. A placeholder (RandomKey::deferred) is bound to the tensor of the file, without a copy where
/// Checkpoint::load gives none; a parameter that has memory keeps it, values are copied.
/// Beyond equal names: a parameter that the module visits under several names may have any of them, and an alias; when the file holds
/// several, they must be equal. For `X.parametrizations.weight.original0` and `original1` (weight norm) the file may also have
/// `X.weight_g` and `X.weight_v`, or `X.weight` with the norm multiplied in (then v = weight and g = its norm).
/// Returns the optional parameters that kept their values. Error{data} lists all complaints; the module is unchanged then.
std::vector<std::string> load_weights(Module& module, const Checkpoint& checkpoint, const LoadRules& rules = {});

/// Every parameter by its first path, once where several paths share it.
NamedTensors parameters_of(Module& module);

}  // namespace alinea
