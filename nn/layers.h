// The small layers that everything is made of. Initial values follow PyTorch's defaults, so that training compares one to one.
#pragma once
#include "autograd/conv1d.h"
#include "autograd/conv2d.h"
#include "autograd/dropout.h"
#include "autograd/embedding.h"
#include "autograd/layer_norm.h"
#include "autograd/matmul.h"
#include "nn/module.h"

namespace alinea {

/// What a forward pass carries along: the tape (null: inference) and the key from which dropout draws (seed, path of names, step).
struct Pass {
  Tape* tape = nullptr;
  RandomKey key;
  bool training = false;                                    // dropout on
  int64_t step = 0;                                         // optimiser steps made before: what is redrawn on a schedule
  Pass child(std::string_view name) const { return {tape, key.child(name), training, step}; }
  Pass child(uint64_t i) const { return {tape, key.child(i), training, step}; }
};

/// x, or dropout(x, p) while training.
inline Variable drop(const Variable& x, double p, const Pass& pass) { return pass.training && p > 0 ? dropout(x, p, pass.key) : x; }

/// y = act(x Wᵀ + b), W and b from U(±1/√in).
struct LinearLayer final : Module {
  Parameter weight, bias;
  LinearLayer() = default;
  LinearLayer(Context& context, int64_t in, int64_t out, RandomKey key, bool with_bias = true);
  Variable operator()(const Variable& x, Tape* tape, Activation activation = Activation::none) {
    return linear(x, on(tape, weight), bias.value ? on(tape, bias) : Variable(), activation);
  }
  void visit(const std::string& prefix, const Visitor& v) override;
};

struct LayerNormLayer final : Module {
  Parameter weight, bias;
  double eps = 1e-5;
  LayerNormLayer() = default;
  LayerNormLayer(Context& context, int64_t width, double eps = 1e-5);
  Variable operator()(const Variable& x, Tape* tape) { return layer_norm(x, on(tape, weight), on(tape, bias), eps); }
  /// {x + residual, norm(x + residual)} in one pass.
  ResidualNorm after_add(const Variable& x, const Variable& residual, Tape* tape) {
    return residual_layer_norm(x, residual, on(tape, weight), on(tape, bias), eps);
  }
  void visit(const std::string& prefix, const Visitor& v) override;
};

/// Convolution over time, [out, in/groups, kernel]; the op says stride, padding and groups.
struct Conv1dLayer final : Module {
  Parameter weight, bias;
  Conv1d op;
  Conv1dLayer() = default;
  Conv1dLayer(Context& context, int64_t in, int64_t out, int64_t kernel, const Conv1d& op, RandomKey key, bool with_bias = true);
  Variable operator()(const Variable& x, Tape* tape) { return conv1d(x, on(tape, weight), bias.value ? on(tape, bias) : Variable(), op); }
  void visit(const std::string& prefix, const Visitor& v) override;
};

/// Causal convolution over time: output t sees input stride·t - left … stride·t - left + kernel - 1, zeros before the start.
struct CausalConv final : Module {
  Parameter weight, bias;                                   // [out, in, kernel], [out]
  int64_t stride = 1, left = 0;
  CausalConv() = default;
  CausalConv(Context& context, int64_t in, int64_t out, int64_t kernel, int64_t stride, RandomKey key);
  Variable operator()(const Variable& x, Tape* tape, Activation activation = Activation::none);
  /// The same on a piece of the sequence, with the `left` inputs that precede it.
  Tensor step(const Tensor& before, const Tensor& x, Activation activation) const;
  void visit(const std::string& prefix, const Visitor& v) override;
};

/// Square convolution over time and bins, channels-last, zeros on both sides: [B,H,W,in] -> [B,⌈H/stride⌉,⌈W/stride⌉,out]; kernel odd.
struct Conv2dLayer final : Module {
  Parameter weight, bias;                                   // [out, in, kernel, kernel], [out]
  int64_t stride = 1;
  Conv2dLayer() = default;
  Conv2dLayer(Context& context, int64_t in, int64_t out, int64_t kernel, int64_t stride, RandomKey key);
  Variable operator()(const Variable& x, Tape* tape, Activation activation = Activation::none);
  void visit(const std::string& prefix, const Visitor& v) override;
};

/// LN is the caller's: y = W₂ act(W₁ x + b₁) + b₂. Names: fc1, fc2.
struct FeedForward final : Module {
  LinearLayer in, out;
  Activation activation = Activation::relu;
  FeedForward() = default;
  FeedForward(Context& context, int64_t width, int64_t hidden, Activation activation, RandomKey key);
  Variable operator()(const Variable& x, double dropout, const Pass& pass);
  void visit(const std::string& prefix, const Visitor& v) override;
};

enum class PositionLayout { halves, interleaved };          // [sin…, cos…] as fairseq, or sin, cos, sin, cos as "Attention is all you need"

/// Sinusoidal positions [rows, width]: angle(i, c) = (first + i) / 10000^{2c/width}, c = 0 … width/2 - 1; in halves 10000^{c/(width/2 - 1)}.
Tensor sinusoid(Context& context, int64_t first, int64_t rows, int64_t width, PositionLayout layout);

}  // namespace alinea
