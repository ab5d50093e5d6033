// One function per op family, each beside the family's wrappers; op_table.cpp collects them through register_all_rows.
#pragma once
#include "autograd/op_table.h"

namespace alinea {

void register_adamw_rows(OpTable& table);
void register_attention_product_rows(OpTable& table);
void register_attention_rows(OpTable& table);
void register_avg_pool_time_rows(OpTable& table);
void register_codebook_rows(OpTable& table);
void register_contrastive_loss_rows(OpTable& table);
void register_conv1d_rows(OpTable& table);
void register_conv2d_rows(OpTable& table);
void register_cross_entropy_rows(OpTable& table);
void register_ctc_loss_rows(OpTable& table);
void register_dropout_rows(OpTable& table);
void register_elementwise_rows(OpTable& table);
void register_embedding_rows(OpTable& table);
void register_glu_rows(OpTable& table);
void register_group_norm_rows(OpTable& table);
void register_latency_rows(OpTable& table);
void register_layer_norm_rows(OpTable& table);
void register_layout_rows(OpTable& table);
void register_literal_rows(OpTable& table);
void register_mask_frames_rows(OpTable& table);
void register_matmul_rows(OpTable& table);
void register_monotonic_rows(OpTable& table);
void register_reduce_rows(OpTable& table);
void register_softmax_rows(OpTable& table);
void register_structured_rows(OpTable& table);
void register_weight_norm_rows(OpTable& table);

inline void register_all_rows(OpTable& table) {
  register_adamw_rows(table);
  register_attention_product_rows(table);
  register_attention_rows(table);
  register_avg_pool_time_rows(table);
  register_codebook_rows(table);
  register_contrastive_loss_rows(table);
  register_conv1d_rows(table);
  register_conv2d_rows(table);
  register_cross_entropy_rows(table);
  register_ctc_loss_rows(table);
  register_dropout_rows(table);
  register_elementwise_rows(table);
  register_embedding_rows(table);
  register_glu_rows(table);
  register_group_norm_rows(table);
  register_latency_rows(table);
  register_layer_norm_rows(table);
  register_layout_rows(table);
  register_literal_rows(table);
  register_mask_frames_rows(table);
  register_matmul_rows(table);
  register_monotonic_rows(table);
  register_reduce_rows(table);
  register_softmax_rows(table);
  register_structured_rows(table);
  register_weight_norm_rows(table);
}

}  // namespace alinea
