// The sizes and choices of a speech-to-text transformer and of its EMMA policy. Each struct lists its fields once: loading, saving,
// --set, --help and the message about a misspelt key come from that list.
#pragma once
#include "models/transformer_config.h"

namespace alinea {

/// Convolutions that shorten the feature sequence: each halves the rate.
struct StemConfig {
  std::string kind = "relu_norm";                           // relu_norm: causal conv, ReLU, LayerNorm | glu: conv, GLU (Speech2Text)
                                                            // conv2d: conv over time and bins, ReLU; a linear at the end (Conv2dSubsampler)
  int64_t layers = 3, kernel = 5, channels = 256;           // channels: width between the GLU convolutions, or of every Conv2d
  void fields(Config& c) {
    c.field("kind", kind, "relu_norm (causal, can be streamed), glu (symmetric padding, as in Speech2Text) or conv2d (over time and bins, as ESPnet's Conv2dSubsampler)");
    c.field("layers", layers, "convolutions of stride 2; the encoder has a state per 10 ms · 2^layers");
    c.field("kernel", kernel, "kernel width of each convolution; conv2d: kernel x kernel, odd");
    c.field("channels", channels, "glu: channels between the convolutions, before the gate halves them; conv2d: of each convolution");
  }
};

/// EMMA's policy: p(write) = σ((FFN_q(s) · FFN_k(pooled h) / √d + b) / τ). Ma et al. 2023, section 3.1.
struct PolicyConfig {
  int64_t heads = 1, depth = 4, pooling = 2;
  double bias = -0.5, temperature = 0.2;
  void fields(Config& c) {
    c.field("heads", heads, "1: one alignment per layer, shared by its heads; or the number of attention heads: one each");
    c.field("depth", depth, "layers (linear, ReLU) of each of the two networks");
    c.field("pooling", pooling, "encoder states averaged into one decision");
    c.field("bias", bias, "initial energy bias; negative values read more at first");
    c.field("temperature", temperature, "divides the energy; small values push p to 0 or 1");
  }
};

/// The same of speech.
struct SpeechSettingNames : SettingNames {
  const char *input_bins = "input_bins", *stem_layers = "stem.layers", *stem_kernel = "stem.kernel";
};

struct S2TConfig : TransformerConfig {
  int64_t input_bins = 80;
  StemConfig stem;
  int64_t encoder_conv_kernel = 5, encoder_chunk = 2;
  bool scale_stem = false, has_policy = false;
  PolicyConfig policy;
  double feature_mean = 13, feature_scale = 4, feature_padding = -1;

  S2TConfig() : TransformerConfig("alinea_s2t") {}

  void fields(Config& c) {
    TransformerConfig::fields(c);
    c.field("input_bins", input_bins, "log-mel bins");
    c.field("stem", stem, "convolutions before the encoder");
    c.field("scale_stem", scale_stem, "what the stem gives is multiplied by √d_model");
    c.field("encoder_conv_kernel", encoder_conv_kernel, "kernel of the causal convolution at the start of each encoder layer; 0: none");
    c.field("encoder_chunk", encoder_chunk, "a state sees its own chunk of this many states and all before; 0: the whole utterance (cannot be streamed)");
    c.field("has_policy", has_policy, "whether the weights hold EMMA policies");
    c.field("policy", policy, "EMMA's policy networks");
    c.field("feature_mean", feature_mean, "subtracted from every log-mel value; a constant, so that streaming needs no statistics");
    c.field("feature_scale", feature_scale, "divides it afterwards");
    c.field("feature_padding", feature_padding, "value of a frame of silence, after both");
  }
  /// Refuses impossible sizes by name.
  void check(const SpeechSettingNames& name = {}) const {
    TransformerConfig::check(name);
    require(input_bins > 0, "model: {} {} must be positive", name.input_bins, input_bins);
    require(stem.kind == "relu_norm" || stem.kind == "glu" || stem.kind == "conv2d", "model: stem.kind '{}' is not relu_norm, glu or conv2d", stem.kind);
    require(stem.kind != "conv2d" || (stem.kernel % 2 == 1 && stem.channels > 0), "model: stem.kernel {} must be odd and stem.channels {} positive for conv2d",
            stem.kernel, stem.channels);
    require(stem.layers >= 1 && stem.layers <= 8 && stem.kernel >= 2, "model: {} {} must be 1 … 8 and {} {} at least 2", name.stem_layers, stem.layers,
            name.stem_kernel, stem.kernel);
    require(encoder_chunk >= 0 && encoder_conv_kernel >= 0, "model: encoder_chunk and encoder_conv_kernel must not be negative");
    require(policy.heads == 1 || policy.heads == heads_of_decoder(), "model: policy.heads {} must be 1 or the decoder's number of heads {}", policy.heads, heads_of_decoder());
    require(policy.pooling >= 1 && policy.depth >= 1 && policy.temperature > 0, "model: policy.pooling and depth must be at least 1, temperature above 0");
  }
  /// The encoder's states depend on nothing later than their own chunk.
  bool streamable() const { return encoder_chunk > 0 && stem.kind == "relu_norm"; }
  int64_t frames_per_state() const { return int64_t(1) << stem.layers; }
};

}  // namespace alinea
