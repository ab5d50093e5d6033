#include "models/wav2vec2/feature_encoder.h"

#include <cmath>

#include "autograd/elementwise.h"
#include "autograd/group_norm.h"
#include "autograd/layout.h"

namespace alinea {

Wav2Vec2FeatureEncoder::Wav2Vec2FeatureEncoder(Context& context, const Wav2Vec2Config& c, RandomKey key)
    : over_time_(c.feat_extract_norm == "group"), relu_(c.feat_extract_activation == "relu") {
  int64_t in = 1;
  for (size_t i = 0; i < c.conv_dim.size(); ++i) {
    Layer layer;
    const bool normalised = !over_time_ || i == 0;
    const Activation activation = normalised ? Activation::none : relu_ ? Activation::relu : Activation::gelu;
    layer.conv = Conv1dLayer(context, in, c.conv_dim[i], c.conv_kernel[i], {.stride = c.conv_stride[i], .activation = activation}, key.child(uint64_t(i)), c.conv_bias);
    // He et al. 2015, equation 10. With smaller weights the wave would shrink from layer to layer until the projection's norm sees only its eps.
    const double deviation = std::sqrt(2.0 / double(in * c.conv_kernel[i]));
    layer.conv.weight = normal_parameter(context, {c.conv_dim[i], in, c.conv_kernel[i]}, deviation, key.child(uint64_t(i)).child("he"));
    if (normalised) layer.norm = LayerNormLayer(context, c.conv_dim[i]);
    layers_.push_back(std::move(layer));
    in = c.conv_dim[i];
  }
}

Variable Wav2Vec2FeatureEncoder::forward(const Tensor& samples, Tape* tape) {
  Variable x = samples.compact().reshape({samples.size(0), samples.size(1), 1});
  for (Layer& layer : layers_) {
    x = layer.conv(x, tape);
    if (!layer.norm.weight.value) continue;
    if (over_time_) x = group_norm(x, x.size(2), on(tape, layer.norm.weight), on(tape, layer.norm.bias), layer.norm.eps);
    else x = layer.norm(x, tape);
    x = relu_ ? relu(x) : gelu(x);
  }
  return x;
}

void Wav2Vec2FeatureEncoder::visit(const std::string& prefix, const Visitor& v) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    const std::string p = path(prefix, fmt::format("conv_layers.{}", i));
    layers_[i].conv.visit(path(p, "conv"), v);
    if (layers_[i].norm.weight.value) layers_[i].norm.visit(path(p, "layer_norm"), v);
  }
}

}  // namespace alinea
