// The sizes and choices of a speech-to-text transformer and of its EMMA policy. Each struct lists its fields once: loading, saving,
// --set, --help and the message about a misspelt key come from that list.
#pragma once
#include "engine/core/config.h"
#include "engine/core/error.h"

namespace alinea {

/// Convolutions that shorten the feature sequence: each halves the rate.
struct StemConfig {
  std::string kind = "relu_norm";                           // relu_norm: causal conv, ReLU, LayerNorm | glu: conv, GLU (Speech2Text)
  int64_t layers = 3, kernel = 5, channels = 256;           // channels: width between the two GLU convolutions
  void fields(Config& c) {
    c.field("kind", kind, "relu_norm (causal, can be streamed) or glu (symmetric padding, as in Speech2Text)");
    c.field("layers", layers, "convolutions of stride 2; the encoder has a state per 10 ms · 2^layers");
    c.field("kernel", kernel, "kernel width of each convolution");
    c.field("channels", channels, "glu: channels between the convolutions, before the gate halves them");
  }
};

/// Which family serves each block (nn/attention): a name.
struct AttentionConfig {
  std::string encoder_self = "softmax", decoder_self = "softmax", decoder_cross = "softmax";
  void fields(Config& c) {
    c.field("encoder_self", encoder_self, "attention family of the encoder");
    c.field("decoder_self", decoder_self, "attention family of the decoder among its own tokens");
    c.field("decoder_cross", decoder_cross, "attention family of the decoder on the encoder's states; an EMMA model uses emma while it trains");
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

struct S2TConfig {
  std::string model_type = "alinea_s2t";
  int64_t input_bins = 80, d_model = 128, heads = 4, ffn = 512, encoder_layers = 2, decoder_layers = 2;
  StemConfig stem;
  int64_t encoder_conv_kernel = 5, encoder_chunk = 2;
  std::string norm = "pre", activation = "relu";
  double dropout = 0.1, attention_dropout = 0, activation_dropout = 0;
  AttentionConfig attention;
  bool has_policy = false, activation_checkpointing = false;
  PolicyConfig policy;
  int64_t source_words = 0, target_words = 0, max_positions = 2048;
  double feature_mean = 13, feature_scale = 4, feature_padding = -1;
  int64_t pad_token = 0, bos_token = 1, eos_token = 1;

  void fields(Config& c) {
    c.field("model_type", model_type, "names the architecture in the file");
    c.field("input_bins", input_bins, "log-mel bins");
    c.field("d_model", d_model, "model width");
    c.field("heads", heads, "attention heads");
    c.field("ffn", ffn, "hidden width of the feed-forward layers");
    c.field("encoder_layers", encoder_layers, "layers of the encoder");
    c.field("decoder_layers", decoder_layers, "layers of the decoder");
    c.field("stem", stem, "convolutions before the encoder");
    c.field("encoder_conv_kernel", encoder_conv_kernel, "kernel of the causal convolution at the start of each encoder layer; 0: none");
    c.field("encoder_chunk", encoder_chunk, "a state sees its own chunk of this many states and all before; 0: the whole utterance (cannot be streamed)");
    c.field("norm", norm, "pre (normalise before each block) or post (after the residual sum)");
    c.field("activation", activation, "relu or gelu");
    c.field("dropout", dropout, "on the embeddings and on each block's output");
    c.field("attention_dropout", attention_dropout, "on attention weights");
    c.field("activation_dropout", activation_dropout, "inside the feed-forward layers");
    c.field("activation_checkpointing", activation_checkpointing, "encoder layers are computed again in backward instead of kept: less memory, a third more time");
    c.field("attention", attention, "attention family per block");
    c.field("has_policy", has_policy, "whether the weights hold EMMA policies");
    c.field("policy", policy, "EMMA's policy networks");
    c.field("source_words", source_words, "classes of the frame classifier (with blank); 0: the model has none");
    c.field("target_words", target_words, "size of the target vocabulary");
    c.field("max_positions", max_positions, "longest sequence of states or tokens");
    c.field("feature_mean", feature_mean, "subtracted from every log-mel value; a constant, so that streaming needs no statistics");
    c.field("feature_scale", feature_scale, "divides it afterwards");
    c.field("feature_padding", feature_padding, "value of a frame of silence, after both");
    c.field("pad_token", pad_token, "id that fills short targets");
    c.field("bos_token", bos_token, "id that starts a target");
    c.field("eos_token", eos_token, "id that ends a target");
  }
  /// Refuses impossible sizes by name.
  void check() const {
    require(d_model > 0 && heads > 0 && d_model % heads == 0, "model: heads {} must divide d_model {}", heads, d_model);
    require(encoder_layers > 0 && decoder_layers > 0 && ffn > 0 && input_bins > 0, "model: layers, ffn and input_bins must be positive");
    require(target_words > 2, "model: target_words {} is too small; it counts pad, start/end and the words", target_words);
    require(norm == "pre" || norm == "post", "model: norm '{}' is not pre or post", norm);
    require(activation == "relu" || activation == "gelu", "model: activation '{}' is not relu or gelu", activation);
    require(stem.kind == "relu_norm" || stem.kind == "glu", "model: stem.kind '{}' is not relu_norm or glu", stem.kind);
    require(stem.layers >= 1 && stem.layers <= 8 && stem.kernel >= 2, "model: stem.layers {} must be 1 … 8 and stem.kernel {} at least 2", stem.layers, stem.kernel);
    require(encoder_chunk >= 0 && encoder_conv_kernel >= 0, "model: encoder_chunk and encoder_conv_kernel must not be negative");
    require(policy.heads == 1 || policy.heads == heads, "model: policy.heads {} must be 1 or the number of heads {}", policy.heads, heads);
    require(policy.pooling >= 1 && policy.depth >= 1 && policy.temperature > 0, "model: policy.pooling and depth must be at least 1, temperature above 0");
    require(dropout >= 0 && dropout < 1 && attention_dropout >= 0 && attention_dropout < 1 && activation_dropout >= 0 && activation_dropout < 1,
            "model: dropout rates must lie in [0, 1)");
  }
  /// The encoder's states depend on nothing later than their own chunk.
  bool streamable() const { return encoder_chunk > 0 && stem.kind == "relu_norm"; }
  int64_t frames_per_state() const { return int64_t(1) << stem.layers; }
};

}  // namespace alinea
