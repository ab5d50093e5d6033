#include "apps/forward_model.h"

#include <algorithm>

#include "apps/forward_parts.h"
#include "engine/core/names.h"
#include "models/hub/hub_cache.h"
#include "models/hub/model_directory.h"

namespace alinea {

Tensor NamedInputs::find(std::string_view name) const {
  for (const auto& [n, t] : tensors_)
    if (n == name) return t;
  return {};
}

Tensor NamedInputs::need(std::string_view name, std::string_view shape) const {
  const Tensor t = find(name);
  require_data(bool(t), "forward: the inputs lack '{}' ({})", name, shape);
  return t;
}

std::vector<int32_t> NamedInputs::lengths(std::string_view mask) const {
  if (const Tensor given = find("sample_lengths")) return given.values<int32_t>();
  const Tensor m = find(mask);
  if (!m) return {};
  require_data(m.rank() == 2, "forward: '{}' is {}, expected [B, N]", mask, m.shape());
  const auto v = m.values<int64_t>();
  std::vector<int32_t> lengths;
  for (int64_t b = 0; b < m.size(0); ++b) {
    const auto row = v.begin() + b * m.size(1);
    const auto end = std::find(row, row + m.size(1), 0);
    require_data(std::find_if(end, row + m.size(1), [](int64_t x) { return x != 0; }) == row + m.size(1),
                 "forward: row {} of '{}' has ones after a zero; only padding on the right is supported", b, mask);
    lengths.push_back(int32_t(end - row));
  }
  return lengths;
}

NamedInputs NamedInputs::with(std::string_view name, Tensor value) const {
  NamedInputs changed = without(name);
  changed.tensors_.emplace_back(name, std::move(value));
  return changed;
}

NamedInputs NamedInputs::without(std::string_view name) const {
  NamedTensors rest;
  for (const auto& t : tensors_)
    if (t.first != name) rest.push_back(t);
  return NamedInputs(std::move(rest));
}

NamedTensors ForwardModel::generate(const NamedInputs&, const std::vector<std::pair<std::string, std::string>>&) {
  fail(Exit::usage, "forward: --generate needs a model with a decoder");
}

namespace {

// Gradients of the loss that was just taken back, under the parameters' names.
void append_gradients(Module& module, const std::vector<std::string>& wanted, NamedTensors& results) {
  const bool all = wanted.size() == 1 && wanted[0] == "all";
  std::vector<std::string> names;
  std::vector<bool> found(wanted.size());
  module.visit("", [&](const std::string& name, Parameter& p) {
    names.push_back(name);
    const auto at = std::find(wanted.begin(), wanted.end(), name);
    if (at != wanted.end()) found[size_t(at - wanted.begin())] = true;
    if (!all && at == wanted.end()) return;
    results.emplace_back("grad." + name, p.grad ? p.grad.clone() : p.value.context().zeros(p.value.shape(), p.value.dtype()));
  });
  for (size_t i = 0; !all && i < wanted.size(); ++i)
    require(found[i], "forward: there is no parameter '{}'; did you mean '{}'?", wanted[i], nearest_name(wanted[i], names));
}

}  // namespace

std::unique_ptr<ForwardModel> open_forward_model(const std::filesystem::path& name, Context& context) {
  const std::filesystem::path directory = resolve_model(name.string());
  const std::string type = model_type_of(directory);
  if (type == "wav2vec2") return open_wav2vec2_forward(directory, context);
  if (type == "mbart") return open_text_forward(directory, context);
  if (type == "speech_to_text") return open_feature_forward(directory, context);
  if (type == "speech-encoder-decoder") return open_wave_forward(directory, context);
  fail(Exit::data, "{}: model_type '{}' is not supported by forward; wav2vec2, mbart, speech_to_text and speech-encoder-decoder are", directory.string(), type);
}

NamedTensors run_forward(ForwardModel& model, const NamedInputs& in, const ForwardOptions& options, const std::vector<std::string>& gradients) {
  NamedTensors results;
  if (gradients.empty()) {
    for (auto& [name, v] : model.outputs(in, options, nullptr)) results.emplace_back(name, v.value());
    return results;
  }
  FlatParameters parameters(model.module());
  Tape tape;
  const NamedVariables outputs = model.outputs(in, options, &tape);
  const auto loss = std::find_if(outputs.begin(), outputs.end(), [](const auto& o) { return o.first == "loss"; });
  require_data(loss != outputs.end(), "forward: --grad needs a loss, and these inputs give none; add labels");
  for (const auto& [name, v] : outputs) results.emplace_back(name, v.value().clone());   // backward may write into what it no longer needs
  tape.backward(loss->second);
  append_gradients(model.module(), gradients, results);
  return results;
}

}  // namespace alinea
