#include "autograd/tape.h"

#include "engine/ops/accumulate.h"

namespace alinea {

Variable Tape::variable(Tensor value) {
  Variable v(std::move(value));
  v.tape_ = this;
  v.slot_ = int32_t(grads_.size());
  grads_.emplace_back();
  return v;
}

Variable Tape::watch(Tensor leaf) {
  require(!done_, "tape: backward has already run; a tape serves one step, make a new one");
  Variable v = variable(std::move(leaf));
  watched_[v.slot_] = true;
  return v;
}

Variable Tape::use(Parameter& parameter) {
  if (const auto it = used_.find(&parameter); it != used_.end()) return it->second;
  Variable v = variable(parameter.value);
  parameters_[v.slot_] = &parameter;
  return used_[&parameter] = v;
}

Need Tape::need(int32_t slot) const {
  if (slot < 0) return {false, {}};
  const auto it = parameters_.find(slot);
  return {true, it == parameters_.end() ? Tensor{} : it->second->grad};
}

void Tape::accumulate(int32_t slot, Tensor&& gradient, std::string_view op) {
  if (const auto it = parameters_.find(slot); it != parameters_.end()) {
    Parameter& p = *it->second;
    require(gradient.shape() == p.value.shape(), "{}: returned a gradient {} for a parameter {}", op, gradient.shape(), p.value.shape());
    if (gradient.shares_storage(p.grad)) return;            // the op has added it already
    if (!p.grad) p.grad = p.value.context().zeros(p.value.shape(), p.value.dtype());
    add_into(p.grad, gradient);
    return;
  }
  Tensor& sum = grads_[slot];
  if (!sum) {
    sum = std::move(gradient);
    return;
  }
  require(sum.shape() == gradient.shape(), "{}: returned a gradient {} where another op returned {}", op, gradient.shape(), sum.shape());
  if (sum.sole_owner() && sum.contiguous()) add_into(sum, gradient);
  else if (gradient.sole_owner() && gradient.contiguous()) add_into(gradient, sum), sum = std::move(gradient);
  else sum = sum.clone(), add_into(sum, gradient);
}

// Of each parameter, by its slot: how many ops read it.
std::unordered_map<int32_t, int> Tape::count_uses() const {
  std::unordered_map<int32_t, int> uses;
  for (const auto& node : nodes_)
    for (const int32_t slot : node->slots())
      if (parameters_.contains(slot)) ++uses[slot];
  return uses;
}

void Tape::backward(const Variable& loss, double seed) {
  require(loss.value().count() == 1, "backward: the loss {} must hold one element; give gradients for other outputs", loss.shape());
  backward(std::span(&loss, 1), {loss.value().context().full(loss.shape(), loss.dtype(), seed)});
}

void Tape::backward(std::span<const Variable> outputs, std::vector<Tensor> gradients) {
  require(!done_, "tape: backward has already run; its saved values are gone. Record a new tape for the next step");
  require(outputs.size() == gradients.size(), "backward: {} outputs and {} gradients", outputs.size(), gradients.size());
  done_ = true;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].tape_ != this) continue;                 // no parameter reaches this output
    require(outputs[i].shape() == gradients[i].shape(), "backward: an output is {}, its gradient {}", outputs[i].shape(), gradients[i].shape());
    accumulate(outputs[i].slot_, std::move(gradients[i]), "backward");
  }
  auto uses = final_ && !hides_parameters_ ? count_uses() : std::unordered_map<int32_t, int>();
  while (!nodes_.empty()) {
    const auto node = std::move(nodes_.back());
    nodes_.pop_back();
    node->backward(*this);
    if (uses.empty()) continue;
    for (const int32_t slot : node->slots())
      if (const auto it = uses.find(slot); it != uses.end() && --it->second == 0) final_(*parameters_[slot]);
  }
}

Tensor Tape::grad(const Variable& watched) const {
  require(watched.tape_ == this && watched_.contains(watched.slot_), "grad: this variable was not watched on this tape");
  return grads_[watched.slot_];
}

}  // namespace alinea
