#include "nn/layers.h"

#include <cmath>

namespace alinea {

LinearLayer::LinearLayer(Context& context, int64_t in, int64_t out, RandomKey key, bool with_bias)
    : weight(uniform_parameter(context, {out, in}, 1 / std::sqrt(double(in)), key.child("weight"))) {
  if (with_bias) bias = uniform_parameter(context, {out}, 1 / std::sqrt(double(in)), key.child("bias"));
}

void LinearLayer::visit(const std::string& prefix, const Visitor& v) {
  v(path(prefix, "weight"), weight);
  if (bias.value) v(path(prefix, "bias"), bias);
}

LayerNormLayer::LayerNormLayer(Context& context, int64_t width, double eps)
    : weight(constant_parameter(context, {width}, 1)), bias(constant_parameter(context, {width}, 0)), eps(eps) {}

void LayerNormLayer::visit(const std::string& prefix, const Visitor& v) {
  v(path(prefix, "weight"), weight);
  v(path(prefix, "bias"), bias);
}

Conv1dLayer::Conv1dLayer(Context& context, int64_t in, int64_t out, int64_t kernel, const Conv1d& op, RandomKey key, bool with_bias)
    : weight(uniform_parameter(context, {out, in / op.groups, kernel}, 1 / std::sqrt(double(in / op.groups * kernel)), key.child("weight"))), op(op) {
  if (with_bias) bias = uniform_parameter(context, {out}, 1 / std::sqrt(double(in / op.groups * kernel)), key.child("bias"));
}

void Conv1dLayer::visit(const std::string& prefix, const Visitor& v) {
  v(path(prefix, "weight"), weight);
  if (bias.value) v(path(prefix, "bias"), bias);
}

CausalConv::CausalConv(Context& context, int64_t in, int64_t out, int64_t kernel, int64_t stride, RandomKey key)
    : weight(uniform_parameter(context, {out, in, kernel}, 1 / std::sqrt(double(in * kernel)), key.child("weight"))),
      bias(uniform_parameter(context, {out}, 1 / std::sqrt(double(in * kernel)), key.child("bias"))),
      stride(stride),
      left(kernel - stride) {
  require(kernel >= stride, "causal convolution: kernel {} must be at least the stride {}", kernel, stride);
}

Variable CausalConv::operator()(const Variable& x, Tape* tape, Activation activation) {
  return conv1d(x, on(tape, weight), on(tape, bias), Conv1d{.stride = stride, .pad_left = left, .activation = activation});
}

Tensor CausalConv::step(const Tensor& before, const Tensor& x, Activation activation) const {
  const int64_t B = x.size(0), C = x.size(2);
  const Tensor joined = x.context().empty({B, left + x.size(1), C}, x.dtype());
  if (left > 0) joined.slice(1, 0, left).copy_from(before);
  joined.slice(1, left, left + x.size(1)).copy_from(x);
  return conv1d(joined, weight.value, bias.value, Conv1d{.stride = stride, .activation = activation}).value();
}

void CausalConv::visit(const std::string& prefix, const Visitor& v) {
  v(path(prefix, "weight"), weight);
  v(path(prefix, "bias"), bias);
}

Conv2dLayer::Conv2dLayer(Context& context, int64_t in, int64_t out, int64_t kernel, int64_t stride, RandomKey key)
    : weight(uniform_parameter(context, {out, in, kernel, kernel}, 1 / std::sqrt(double(in * kernel * kernel)), key.child("weight"))),
      bias(uniform_parameter(context, {out}, 1 / std::sqrt(double(in * kernel * kernel)), key.child("bias"))),
      stride(stride) {
  require(kernel % 2 == 1, "conv2d: kernel {} must be odd, so that the padding is the same on both sides", kernel);
}

Variable Conv2dLayer::operator()(const Variable& x, Tape* tape, Activation activation) {
  const int64_t pad = weight.value.size(2) / 2;
  return conv2d(x, on(tape, weight), on(tape, bias), Conv2d{.stride = {stride, stride}, .padding = {pad, pad}, .activation = activation});
}

void Conv2dLayer::visit(const std::string& prefix, const Visitor& v) {
  v(path(prefix, "weight"), weight);
  v(path(prefix, "bias"), bias);
}

FeedForward::FeedForward(Context& context, int64_t width, int64_t hidden, Activation activation, RandomKey key)
    : in(context, width, hidden, key.child("in")), out(context, hidden, width, key.child("out")), activation(activation) {}

Variable FeedForward::operator()(const Variable& x, double dropout, const Pass& pass) {
  return out(drop(in(x, pass.tape, activation), dropout, pass.child("hidden")), pass.tape);
}

void FeedForward::visit(const std::string& prefix, const Visitor& v) {
  in.visit(path(prefix, "fc1"), v);
  out.visit(path(prefix, "fc2"), v);
}

Tensor sinusoid(Context& context, int64_t first, int64_t rows, int64_t width, PositionLayout layout) {
  const bool split = layout == PositionLayout::halves;
  require(width % 2 == 0 && width >= (split ? 4 : 2), "sinusoid: the width {} must be even, and at least 4 where sines and cosines are halves", width);
  const int64_t half = width / 2;
  std::vector<float> v(size_t(rows * width));
  for (int64_t c = 0; c < half; ++c) {
    const double rate = std::pow(10000.0, split ? -double(c) / double(half - 1) : -2.0 * double(c) / double(width));
    for (int64_t i = 0; i < rows; ++i) {
      float* row = v.data() + i * width;
      const double angle = double(first + i) * rate;
      row[split ? c : 2 * c] = float(std::sin(angle));
      row[split ? half + c : 2 * c + 1] = float(std::cos(angle));
    }
  }
  return context.from(v.data(), {rows, width});
}

}  // namespace alinea
