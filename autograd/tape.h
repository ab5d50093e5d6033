// The tape: ops are appended in the order they are computed, backward is one loop from the end. No recursion, no chains of pointers.
// Each gradient and each op's Saved is freed when used. A null tape records nothing, so training and inference are one code path.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "autograd/parameter.h"
#include "engine/ops/op.h"

namespace alinea {

class Tape;

/// A value in a computation. It holds the value itself; when it needs a gradient it also knows its place on a tape.
class Variable {
 public:
  Variable() = default;                                     // "none": an optional input that is not there
  Variable(Tensor constant) : value_(std::move(constant)) {}
  explicit operator bool() const { return bool(value_); }
  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  int64_t size(int axis) const { return value_.size(axis); }
  DType dtype() const { return value_.dtype(); }
  Tape* tape() const { return tape_; }
  bool needs_grad() const { return slot_ >= 0; }

 private:
  friend class Tape;
  Tensor value_;
  Tape* tape_ = nullptr;
  int32_t slot_ = -1;
};

class Tape {
 public:
  Tape() = default;
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// A leaf whose gradient is kept for grad().
  Variable watch(Tensor leaf);
  /// A parameter: its gradient is added into parameter.grad. Using it twice is one leaf.
  Variable use(Parameter& parameter);

  /// From a scalar loss, with dL/dL = seed. A tape is used once; a second call is an error that says so.
  void backward(const Variable& loss, double seed = 1);
  /// From several outputs with given gradients.
  void backward(std::span<const Variable> outputs, std::vector<Tensor> gradients);
  /// f is called in backward with each parameter whose gradient has got its last contribution. Not with checkpoint(): which parameters
  /// a block uses shows only when it runs again.
  void when_final(std::function<void(const Parameter&)> f) { final_ = std::move(f); }
  /// No op of this tape uses the parameter, so that its gradient will not change.
  bool leaves_out(const Parameter& parameter) const { return !hides_parameters_ && !used_.contains(const_cast<Parameter*>(&parameter)); }

  /// Gradient of a watched leaf after backward (none when the loss does not reach it).
  Tensor grad(const Variable& watched) const;

  /// Bytes that became live in each op's forward and were still held when it returned: its output and what it saved. A buffer counts
  /// once, where it was made, so the sum is what the recorded step holds.
  const std::map<std::string_view, int64_t>& bytes_by_op() const { return bytes_by_op_; }

  /// Runs op.forward and records it when an input needs a gradient. Inputs: Variable or Tensor (never differentiated).
  template <class Op, class... In>
  static auto apply(const Op& op, std::string_view name, const In&... in);

  /// block(tape, inputs) without keeping anything of it: forward runs on no tape, backward runs it again on a tape of its own and takes the
  /// gradients from there. The block must give the same value twice, so its dropout draws from RandomKeys. It may use parameters; it is
  /// copied and outlives the call, so it must capture by value. Chen et al. 2016, "Training deep nets with sublinear memory cost".
  template <class F>
  static Variable checkpoint(Tape* tape, F block, std::vector<Variable> inputs);

 private:
  struct Node {
    virtual ~Node() = default;
    virtual void backward(Tape& tape) = 0;
    virtual std::span<const int32_t> slots() const = 0;     // of the inputs; -1: not differentiated
  };
  template <class Op, size_t N, size_t M>
  struct OpNode;
  template <class F>
  struct CheckpointNode;

  template <class... T>
  static int64_t live_bytes(const T&... inputs) {
    Context* context = nullptr;
    ((context = context ? context : inputs ? &inputs.context() : nullptr), ...);
    return context ? context->memory().live : 0;
  }
  Variable variable(Tensor value);
  Need need(int32_t slot) const;
  void accumulate(int32_t slot, Tensor&& gradient, std::string_view op);
  std::unordered_map<int32_t, int> count_uses() const;

  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Tensor> grads_;                               // by slot
  std::unordered_map<Parameter*, Variable> used_;
  std::unordered_map<int32_t, Parameter*> parameters_;      // by slot
  std::unordered_map<int32_t, bool> watched_;
  std::map<std::string_view, int64_t> bytes_by_op_;
  std::function<void(const Parameter&)> final_;
  bool done_ = false, hides_parameters_ = false;
};

// ---- details

namespace tape_detail {
inline const Tensor& value(const Variable& v) { return v.value(); }
inline const Tensor& value(const Tensor& t) { return t; }
inline Tape* tape(const Variable& v) { return v.tape(); }
inline Tape* tape(const Tensor&) { return nullptr; }
}  // namespace tape_detail

template <class Op, size_t N, size_t M>
struct Tape::OpNode final : Tape::Node {
  Op op;
  std::string_view name;
  typename Op::Saved kept;
  std::array<int32_t, N> inputs;
  int32_t first_output = 0;
  OpNode(const Op& op, std::string_view name) : op(op), name(name) {}
  std::span<const int32_t> slots() const override { return inputs; }

  void backward(Tape& tape) override {
    std::array<Tensor, M> g;
    bool reached = false;
    for (size_t i = 0; i < M; ++i) {
      g[i] = std::move(tape.grads_[first_output + i]);
      tape.grads_[first_output + i] = {};
      reached |= bool(g[i]);
    }
    if (!reached) return;
    Needs<N> needs;
    for (size_t i = 0; i < N; ++i) needs[i] = tape.need(inputs[i]);
    Grads<N> d = [&] {
      if constexpr (M == 1) return op.backward(std::move(kept), std::move(g[0]), needs);
      else return op.backward(std::move(kept), std::move(g), needs);
    }();
    for (size_t i = 0; i < N; ++i)
      if (needs[i] && d[i]) tape.accumulate(inputs[i], std::move(d[i]), name);
  }
};

template <class F>
struct Tape::CheckpointNode final : Tape::Node {
  F block;
  std::vector<Variable> inputs;
  int32_t output = 0;
  explicit CheckpointNode(F block, std::vector<Variable> inputs) : block(std::move(block)), inputs(std::move(inputs)) {}
  std::span<const int32_t> slots() const override { return {}; }

  void backward(Tape& tape) override {
    Tensor g = std::move(tape.grads_[output]);
    tape.grads_[output] = {};
    if (!g) return;
    Tape inner;
    std::vector<Variable> again;
    for (const Variable& v : inputs) again.push_back(v.needs_grad() ? inner.watch(v.value()) : Variable(v.value()));
    const Variable y = block(&inner, again);
    inner.backward(std::span(&y, 1), {std::move(g)});
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].needs_grad()) continue;
      if (Tensor d = inner.grad(again[i])) tape.accumulate(inputs[i].slot_, std::move(d), "checkpoint");
    }
  }
};

template <class F>
Variable Tape::checkpoint(Tape* tape, F block, std::vector<Variable> inputs) {
  std::vector<Variable> values;
  for (const Variable& v : inputs) values.emplace_back(v.value());
  const Variable y = block(nullptr, values);
  if (!tape) return y;
  auto node = std::make_unique<CheckpointNode<F>>(std::move(block), std::move(inputs));
  node->output = int32_t(tape->grads_.size());
  tape->hides_parameters_ = true;
  tape->nodes_.push_back(std::move(node));
  return tape->variable(y.value());
}

template <class Op, class... In>
auto Tape::apply(const Op& op, std::string_view name, const In&... in) {
  constexpr size_t N = sizeof...(In);
  using Out = decltype(op.forward(tape_detail::value(in)..., nullptr));
  constexpr bool single = std::is_same_v<Out, Tensor>;
  Tape* tape = nullptr;
  ((tape = tape ? tape : tape_detail::tape(in)), ...);
  if (!tape) {
    if constexpr (single) return Variable(op.forward(tape_detail::value(in)..., nullptr));
    else {
      Out out = op.forward(tape_detail::value(in)..., nullptr);
      std::array<Variable, std::tuple_size_v<Out>> v;
      for (size_t i = 0; i < v.size(); ++i) v[i] = Variable(std::move(out[i]));
      return v;
    }
  } else {
    constexpr size_t M = [] {
      if constexpr (single) return size_t(1);
      else return std::tuple_size_v<Out>;
    }();
    if constexpr (!requires(typename Op::Saved s, Tensor t, Needs<N> n) { op.backward(std::move(s), std::move(t), n); } &&
                  !requires(typename Op::Saved s, std::array<Tensor, M> t, Needs<N> n) { op.backward(std::move(s), std::move(t), n); }) {
      fail(Exit::usage, "{}: has no gradient; detach its inputs or run without a tape", name);
      return std::conditional_t<single, Variable, std::array<Variable, M>>{};
    } else {
      auto node = std::make_unique<OpNode<Op, N, M>>(op, name);
      size_t i = 0;
      auto slot = [&](const auto& v) {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, Variable>) {
          require(!v.tape() || v.tape() == tape, "{}: the inputs belong to two tapes; build one step on one tape", name);
          node->inputs[i++] = v.slot_;
        } else {
          node->inputs[i++] = -1;
        }
      };
      (slot(in), ...);
      if constexpr (requires { node->kept.needs; })
        for (size_t k = 0; k < N; ++k) node->kept.needs[k] = tape->need(node->inputs[k]);
      const int64_t before = tape->live_bytes(tape_detail::value(in)...);
      Out out = op.forward(tape_detail::value(in)..., &node->kept);
      node->first_output = int32_t(tape->grads_.size());
      std::conditional_t<single, Variable, std::array<Variable, M>> result;
      if constexpr (single) result = tape->variable(std::move(out));
      else
        for (size_t k = 0; k < M; ++k) result[k] = tape->variable(std::move(out[k]));
      tape->bytes_by_op_[name] += tape->live_bytes(tape_detail::value(in)...) - before;
      tape->nodes_.push_back(std::move(node));
      return result;
    }
  }
}

}  // namespace alinea
