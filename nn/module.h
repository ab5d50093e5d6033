// Modules: named parameters through one visit() each. Loading, saving, the optimiser, `explain` and counting all walk it.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/tape.h"
#include "engine/core/random.h"

namespace alinea {

using Visitor = std::function<void(const std::string& path, Parameter&)>;

class Module {
 public:
  virtual ~Module() = default;
  /// Calls v(prefix + name, parameter) for every parameter, in a fixed order.
  virtual void visit(const std::string& prefix, const Visitor& v) = 0;
};

/// "encoder" + "layers" -> "encoder.layers"; an empty prefix adds nothing.
inline std::string path(const std::string& prefix, const std::string& name) { return prefix.empty() ? name : prefix + "." + name; }

/// The parameter on a tape, or as a constant when it is frozen or there is no tape.
inline Variable on(Tape* tape, Parameter& p) { return tape && p.trainable ? tape->use(p) : Variable(p.value); }

/// Values drawn from U(-bound, bound) or N(0, deviation²); element e depends on (key, e) alone. A deferred key gives a placeholder, to be
/// bound by load_weights.
Parameter uniform_parameter(Context& context, const Shape& shape, double bound, RandomKey key);
Parameter normal_parameter(Context& context, const Shape& shape, double deviation, RandomKey key);
Parameter constant_parameter(Context& context, const Shape& shape, double value);

/// Every trainable parameter of a module as a slice of one buffer, the gradients as slices of another beside it, so that zeroing,
/// clipping, the optimiser and checkpoints walk one buffer, in f32 (bf16 weights are widened). Frozen parameters stay where they are, as
/// they are, and cost no gradient memory.
struct FlatParameters {
  struct Entry {
    std::string path;
    Parameter* parameter;
    int64_t begin, count;
  };
  Tensor values, grads;
  std::vector<Entry> entries;

  explicit FlatParameters(Module& module);
  int64_t count() const { return values ? values.count() : 0; }
};

/// Numbers that training can change; fixed ones do not count.
int64_t parameter_count(Module& module, bool trainable_only = false);

/// Whether a whole name fits a pattern, in which * stands for any characters.
bool matches(std::string_view name, std::string_view pattern);

/// Freezes every parameter whose path starts with one of the prefixes (with * for any characters) and with none of `train`, trains the
/// others. A prefix that matches nothing is an error.
void freeze(Module& module, const std::vector<std::string>& prefixes, const std::vector<std::string>& train = {});

}  // namespace alinea
