#include "models/wav2vec2/config.h"

#include <algorithm>

namespace alinea {

void Wav2Vec2Config::fields(Config& c) {
  c.field("model_type", model_type, "names the architecture in the file: wav2vec2");
  c.field("vocab_size", vocab_size, "classes of the CTC head");
  c.field("pad_token_id", pad_token_id, "CTC's blank");
  c.field("hidden_size", hidden_size, "model width");
  c.field("num_hidden_layers", num_hidden_layers, "transformer layers");
  c.field("num_attention_heads", num_attention_heads, "attention heads");
  c.field("intermediate_size", intermediate_size, "hidden width of the feed-forward layers");
  c.field("hidden_act", hidden_act, "activation of the feed-forward layers: gelu or relu");
  c.field("do_stable_layer_norm", do_stable_layer_norm, "normalise before each block, not after it");
  c.field("layer_norm_eps", layer_norm_eps, "added to the variance by the projection's and the encoder's norms");
  c.field("conv_dim", conv_dim, "channels of each convolution on the wave");
  c.field("conv_kernel", conv_kernel, "their kernel widths");
  c.field("conv_stride", conv_stride, "their strides");
  c.field("conv_bias", conv_bias, "whether they have a bias");
  c.field("feat_extract_norm", feat_extract_norm, "group: the first is normalised over time, per channel; layer: each over its channels");
  c.field("feat_extract_activation", feat_extract_activation, "activation behind each: gelu or relu");
  c.field("num_conv_pos_embeddings", num_conv_pos_embeddings, "kernel width of the convolution that gives positions");
  c.field("num_conv_pos_embedding_groups", num_conv_pos_embedding_groups, "its groups");
  c.field("hidden_dropout", hidden_dropout, "on the encoder's input and on each block's output");
  c.field("activation_dropout", activation_dropout, "inside the feed-forward layers");
  c.field("attention_dropout", attention_dropout, "on attention weights");
  c.field("feat_proj_dropout", feat_proj_dropout, "on the projected features");
  c.field("feat_quantizer_dropout", feat_quantizer_dropout, "on the quantizer's input");
  c.field("final_dropout", final_dropout, "on the CTC head's input");
  c.field("layerdrop", layerdrop, "chance that training skips a transformer layer");
  c.field("gradient_checkpointing", gradient_checkpointing, "layers are computed again in backward instead of kept: less memory, a third more time");
  c.field("apply_spec_augment", apply_spec_augment, "whether training draws masks by itself");
  c.field("mask_time_prob", mask_time_prob, "share of the frames that spans would mask if none overlapped");
  c.field("mask_time_length", mask_time_length, "frames of a span");
  c.field("mask_time_min_masks", mask_time_min_masks, "fewest spans");
  c.field("mask_feature_prob", mask_feature_prob, "the same for channels, which become zero");
  c.field("mask_feature_length", mask_feature_length, "channels of a span");
  c.field("mask_feature_min_masks", mask_feature_min_masks, "fewest spans");
  c.field("ctc_loss_reduction", ctc_loss_reduction, "sum, or mean (each loss over its labels, then over the batch)");
  c.field("ctc_zero_infinity", ctc_zero_infinity, "targets that no alignment gives count 0");
  c.field("num_codevector_groups", num_codevector_groups, "codebooks of the quantizer");
  c.field("num_codevectors_per_group", num_codevectors_per_group, "entries of each");
  c.field("codevector_dim", codevector_dim, "width of a quantized frame, all codebooks together");
  c.field("proj_codevector_dim", proj_codevector_dim, "width in which predictions and quantized frames are compared");
  c.field("num_negatives", num_negatives, "wrong frames that each masked frame is compared with");
  c.field("contrastive_logits_temperature", contrastive_logits_temperature, "divides the cosine similarities");
  c.field("diversity_loss_weight", diversity_loss_weight, "of the loss that spreads the use of the codebooks");
  c.field("add_adapter", add_adapter, "whether gated convolutions shorten the states at the end");
  c.field("num_adapter_layers", num_adapter_layers, "how many");
  c.field("adapter_kernel_size", adapter_kernel_size, "their kernel width");
  c.field("adapter_stride", adapter_stride, "their stride");
  c.field("output_hidden_size", output_hidden_size, "width of their output; null: hidden_size");
  c.field("adapter_attn_dim", adapter_attn_dim, "width of a small network behind each layer, trained per language; null: none");
}

namespace {

void size(const char* name, int64_t value, int64_t lowest, int64_t largest) {
  require(value >= lowest && value <= largest, "wav2vec2: {} is {}; it must lie in {} … {}", name, value, lowest, largest);
}
void rate(const char* name, double value) { require(value >= 0 && value < 1, "wav2vec2: {} is {}; it must lie in [0, 1)", name, value); }
void one_of(const char* name, const std::string& value, const std::string& first, const std::string& second) {
  require(value == first || value == second, "wav2vec2: {} '{}' is not {} or {}", name, value, first, second);
}

constexpr int64_t widest = 1 << 16;                          // no model comes near; what is made before the weights are compared stays small

void check_convolutions(const Wav2Vec2Config& c) {
  require(!c.conv_dim.empty() && c.conv_kernel.size() == c.conv_dim.size() && c.conv_stride.size() == c.conv_dim.size() && c.conv_dim.size() <= 64,
          "wav2vec2: conv_dim has {} entries, conv_kernel {} and conv_stride {}; each needs one per convolution, 1 … 64", c.conv_dim.size(), c.conv_kernel.size(),
          c.conv_stride.size());
  for (size_t i = 0; i < c.conv_dim.size(); ++i) {
    size("an entry of conv_dim", c.conv_dim[i], 1, widest);
    size("an entry of conv_kernel", c.conv_kernel[i], 1, 65536);
    size("an entry of conv_stride", c.conv_stride[i], 1, 65536);
  }
  one_of("feat_extract_norm", c.feat_extract_norm, "group", "layer");
  one_of("feat_extract_activation", c.feat_extract_activation, "gelu", "relu");
  size("num_conv_pos_embeddings", c.num_conv_pos_embeddings, 1, 65536);
  size("num_conv_pos_embedding_groups", c.num_conv_pos_embedding_groups, 1, c.hidden_size);
  require(c.hidden_size % c.num_conv_pos_embedding_groups == 0, "wav2vec2: num_conv_pos_embedding_groups {} must divide hidden_size {}", c.num_conv_pos_embedding_groups,
          c.hidden_size);
}

void check_training(const Wav2Vec2Config& c) {
  rate("hidden_dropout", c.hidden_dropout);
  rate("activation_dropout", c.activation_dropout);
  rate("attention_dropout", c.attention_dropout);
  rate("feat_proj_dropout", c.feat_proj_dropout);
  rate("feat_quantizer_dropout", c.feat_quantizer_dropout);
  rate("final_dropout", c.final_dropout);
  require(c.layerdrop >= 0 && c.layerdrop <= 1, "wav2vec2: layerdrop is {}; it must lie in [0, 1]", c.layerdrop);
  require(c.mask_time_prob >= 0 && c.mask_time_prob <= 1 && c.mask_feature_prob >= 0 && c.mask_feature_prob <= 1,
          "wav2vec2: mask_time_prob {} and mask_feature_prob {} must lie in [0, 1]", c.mask_time_prob, c.mask_feature_prob);
  require(c.mask_time_length >= 1 && c.mask_feature_length >= 1 && c.mask_time_min_masks >= 0 && c.mask_feature_min_masks >= 0,
          "wav2vec2: mask_time_length {} and mask_feature_length {} start at 1, mask_time_min_masks {} and mask_feature_min_masks {} at 0", c.mask_time_length,
          c.mask_feature_length, c.mask_time_min_masks, c.mask_feature_min_masks);
  one_of("ctc_loss_reduction", c.ctc_loss_reduction, "sum", "mean");
}

void check_quantizer(const Wav2Vec2Config& c) {
  size("num_codevector_groups", c.num_codevector_groups, 1, 1024);
  size("num_codevectors_per_group", c.num_codevectors_per_group, 1, widest);
  size("codevector_dim", c.codevector_dim, 1, widest);
  size("proj_codevector_dim", c.proj_codevector_dim, 1, widest);
  size("num_negatives", c.num_negatives, 1, widest);
  require(c.codevector_dim % c.num_codevector_groups == 0, "wav2vec2: num_codevector_groups {} must divide codevector_dim {}", c.num_codevector_groups, c.codevector_dim);
  require(c.contrastive_logits_temperature > 0, "wav2vec2: contrastive_logits_temperature {} must be positive", c.contrastive_logits_temperature);
}

}  // namespace

void Wav2Vec2Config::check() const {
  size("hidden_size", hidden_size, 1, widest);
  size("num_hidden_layers", num_hidden_layers, 1, 1000);
  size("num_attention_heads", num_attention_heads, 1, hidden_size);
  size("intermediate_size", intermediate_size, 1, 16 * widest);
  size("vocab_size", vocab_size, 1, 256 * widest);
  require(hidden_size % num_attention_heads == 0, "wav2vec2: num_attention_heads {} must divide hidden_size {}", num_attention_heads, hidden_size);
  require(layer_norm_eps > 0, "wav2vec2: layer_norm_eps {} must be positive", layer_norm_eps);
  one_of("hidden_act", hidden_act, "gelu", "relu");
  check_convolutions(*this);
  check_training(*this);
  check_quantizer(*this);
  size("num_adapter_layers", num_adapter_layers, 0, 64);
  size("adapter_kernel_size", adapter_kernel_size, 1, 65536);
  size("adapter_stride", adapter_stride, 1, 65536);
  if (output_hidden_size) size("output_hidden_size", *output_hidden_size, 1, widest);
  if (adapter_attn_dim) {
    size("adapter_attn_dim", *adapter_attn_dim, 1, widest);
    require(do_stable_layer_norm, "wav2vec2: adapter_attn_dim {} needs do_stable_layer_norm; models that normalise after each block have no such networks", *adapter_attn_dim);
  }
}

int64_t Wav2Vec2Config::frames(int64_t samples) const {
  int64_t n = samples;
  for (size_t i = 0; i < conv_kernel.size(); ++i) n = n < conv_kernel[i] ? 0 : (n - conv_kernel[i]) / conv_stride[i] + 1;
  return n;
}

int64_t Wav2Vec2Config::receptive_field() const {
  int64_t n = 1;
  for (size_t i = conv_kernel.size(); i-- > 0;) n = (n - 1) * conv_stride[i] + conv_kernel[i];
  return n;
}

int64_t Wav2Vec2Config::states(int64_t frames) const {
  int64_t n = frames;
  for (int64_t i = 0; add_adapter && i < num_adapter_layers; ++i) n = n + 2 < adapter_kernel_size ? 0 : (n + 2 - adapter_kernel_size) / adapter_stride + 1;
  return n;
}

}  // namespace alinea
