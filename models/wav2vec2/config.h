// The sizes and choices of a wav2vec 2.0 model, under the names that Hugging Face's config.json has. The defaults are the base model's
// (Baevski et al. 2020, section 4.2).
#pragma once
#include "engine/core/config.h"
#include "engine/core/error.h"

namespace alinea {

struct Wav2Vec2Config {
  std::string model_type = "wav2vec2";
  int64_t vocab_size = 32, pad_token_id = 0;
  int64_t hidden_size = 768, num_hidden_layers = 12, num_attention_heads = 12, intermediate_size = 3072;
  std::string hidden_act = "gelu";
  bool do_stable_layer_norm = false;
  double layer_norm_eps = 1e-5;

  std::vector<int64_t> conv_dim = {512, 512, 512, 512, 512, 512, 512}, conv_kernel = {10, 3, 3, 3, 3, 2, 2}, conv_stride = {5, 2, 2, 2, 2, 2, 2};
  bool conv_bias = false;
  std::string feat_extract_norm = "group", feat_extract_activation = "gelu";
  int64_t num_conv_pos_embeddings = 128, num_conv_pos_embedding_groups = 16;

  double hidden_dropout = 0.1, activation_dropout = 0.1, attention_dropout = 0.1, feat_proj_dropout = 0, feat_quantizer_dropout = 0, final_dropout = 0.1, layerdrop = 0.1;
  bool gradient_checkpointing = false;
  bool apply_spec_augment = true;
  double mask_time_prob = 0.05, mask_feature_prob = 0;
  int64_t mask_time_length = 10, mask_time_min_masks = 2, mask_feature_length = 10, mask_feature_min_masks = 0;

  std::string ctc_loss_reduction = "sum";
  bool ctc_zero_infinity = false;

  int64_t num_codevector_groups = 2, num_codevectors_per_group = 320, codevector_dim = 256, proj_codevector_dim = 256, num_negatives = 100;
  double contrastive_logits_temperature = 0.1, diversity_loss_weight = 0.1;

  bool add_adapter = false;
  int64_t num_adapter_layers = 3, adapter_kernel_size = 3, adapter_stride = 2;
  std::optional<int64_t> output_hidden_size, adapter_attn_dim;

  JsonText origin{"{}"};                                    // the config.json that the model was opened with: saving keeps its other keys

  void fields(Config& c);
  /// Refuses impossible sizes by name.
  void check() const;

  /// Channels of the states that forward() gives.
  int64_t output_size() const { return add_adapter ? output_hidden_size.value_or(hidden_size) : hidden_size; }
  /// Whether there is a learned vector for masked frames.
  bool has_mask_vector() const { return mask_time_prob > 0 || mask_feature_prob > 0; }
  /// Frames of `samples` samples before the adapter: ⌊(L − kernel) / stride⌋ + 1 per convolution, 0 when there are too few.
  int64_t frames(int64_t samples) const;
  /// The fewest samples that give a frame.
  int64_t receptive_field() const;
  /// States of `frames` frames: ⌊(L + 2 − kernel) / stride⌋ + 1 per layer of the adapter, as many as frames without one.
  int64_t states(int64_t frames) const;
};

}  // namespace alinea
