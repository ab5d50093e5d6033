#include "apps/op_call.h"

#include "data/features/log_mel.h"

namespace alinea {

namespace {

constexpr std::string_view gradient_prefix = "grad.";

bool is_float(DType d) { return d == DType::f32 || d == DType::f64 || d == DType::bf16; }

OpRow log_mel_row() {
  const auto run = [](const OpCall& c) {
    const Tensor x = c.tensor("x");
    const std::string scale = c.text("scale");
    require(scale == "int16" || scale == "unit", "log_mel: scale '{}' is not int16 or unit", scale);
    LogMelOptions options{.bins = int(c.integer("bins")), .rate = int(c.integer("rate")), .unit_scale = scale == "unit"};
    const std::vector<float> frames = LogMel(options)(x.values<float>());   // features are made on the host, wherever x lies
    const Tensor y = x.context().from(frames.data(), {int64_t(frames.size()) / options.bins, options.bins});
    return std::vector{Variable(y.to(x.dtype()))};
  };
  return {.name = "log_mel",
          .formula = "y = Kaldi's log-mel filter bank of x, computed in f32",
          .inputs = {{"x", "[samples]"}},
          .attributes = {{"bins", "80", "filters"}, {"rate", "16000", "Hz"}, {"scale", "int16", "of the samples: int16 (±32768) or unit (±1)"}},
          .outputs = {"y"},
          .run = run,
          .examples = {},
          .differentiable = false};
}

struct Arguments {
  std::map<std::string, Variable> inputs;
  std::map<std::string, Tensor> gradients;                  // by output
};

// Splits a file into inputs and gradients of outputs; watches what can have a gradient when some gradient is given.
Arguments arguments_of(const OpRow& row, const NamedTensors& tensors, DType dtype, Tape& tape) {
  Arguments a;
  for (const auto& [name, t] : tensors) {
    const Tensor value = is_float(t.dtype()) ? t.to(dtype) : t;
    if (!name.starts_with(gradient_prefix)) {
      a.inputs[name] = value;
      continue;
    }
    const std::string output = name.substr(gradient_prefix.size());
    require_data(std::find(row.outputs.begin(), row.outputs.end(), output) != row.outputs.end(), "{}: there is no output '{}' for '{}'.\n  {}", row.name,
                 output, name, describe(row));
    require_data(is_float(t.dtype()), "{}: '{}' is {}, a gradient must be f32 or f64", row.name, name, t.dtype());
    a.gradients[output] = value;
  }
  if (a.gradients.empty()) return a;
  require(row.differentiable, "{}: has no gradient; leave the tensors grad.… out", row.name);
  for (const OpInput& input : row.inputs)
    if (const auto it = a.inputs.find(input.name); it != a.inputs.end() && !input.integer && !input.constant && is_float(it->second.dtype()))
      it->second = tape.watch(it->second.value());
  return a;
}

void backward(const OpRow& row, Tape& tape, const std::vector<Variable>& outputs, std::map<std::string, Tensor>& gradients) {
  std::vector<Variable> reached;
  std::vector<Tensor> given;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const auto it = gradients.find(row.outputs[i]);
    if (it == gradients.end()) continue;
    require_data(it->second.shape() == outputs[i].shape(), "{}: grad.{} is {}, the output {}", row.name, row.outputs[i], it->second.shape(), outputs[i].shape());
    reached.push_back(outputs[i]);
    given.push_back(std::move(it->second));
  }
  tape.backward(reached, std::move(given));
}

NamedTensors run(const OpRow& row, const NamedTensors& tensors, const std::map<std::string, std::string>& attributes, DType dtype) {
  Tape tape;
  Arguments a = arguments_of(row, tensors, dtype, tape);
  const OpCall call = make_call(row, a.inputs, attributes);
  const std::vector<Variable> outputs = row.run(call);
  NamedTensors result;
  for (size_t i = 0; i < outputs.size(); ++i) result.emplace_back(row.outputs[i], outputs[i].value().clone());
  if (a.gradients.empty()) return result;
  backward(row, tape, outputs, a.gradients);
  for (const OpInput& input : row.inputs) {
    const Variable x = call.in(input.name);
    if (!x || !x.needs_grad()) continue;
    const Tensor g = tape.grad(x);
    result.emplace_back(std::string(gradient_prefix) + input.name, g ? g.compact() : x.value().context().zeros(x.shape(), x.dtype()));
  }
  return result;
}

}  // namespace

const OpTable& program_ops() {
  static const OpTable table = [] {
    OpTable t = OpTable::all();
    t.add(log_mel_row());
    return t;
  }();
  return table;
}

NamedTensors call_op(const OpRow& row, const NamedTensors& inputs, const std::map<std::string, std::string>& attributes, DType dtype) {
  try {
    return run(row, inputs, attributes, dtype);
  } catch (const Error& e) {
    const std::string line = describe(row), message = e.what();
    if (message.find(line) != std::string::npos) throw;
    throw Error(e.kind(), message + ".\n  " + line);
  }
}

}  // namespace alinea
