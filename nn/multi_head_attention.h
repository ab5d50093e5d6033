// Projections around an attention family: q = W_q x, k = W_k m, v = W_v m, heads split, family, heads merged, W_o.
#pragma once
#include "nn/attention/attention.h"

namespace alinea {

class MultiHeadAttention final : public Module {
 public:
  MultiHeadAttention() = default;
  /// width: C; role: heads and width of a head are filled in from `heads`.
  MultiHeadAttention(Context& context, const AttentionSpec& spec, int64_t width, int64_t heads, AttentionRole role, RandomKey key);

  struct Output {
    Variable y;                                             // [B,T,C]
    Variable alignment;
  };
  struct Options {
    Mask mask;
    Extents extents;
    Tensor rarity, tokens;
    Variable policy;
    int64_t pooling = 1;
    double dropout = 0;
  };
  /// x [B,T,C] queries, memory [B,S,C] keys and values.
  Output forward(const Variable& x, const Variable& memory, const Options& options, const Pass& pass);

  /// Decoding: add the keys and values of `memory` [B,n,C] to a state, then attend with rows x [B,T,C] to all columns there are.
  std::unique_ptr<AttentionState> begin(Context& context, const DecodeStart& start) { return attention_->begin(context, start); }
  void append(AttentionState& state, const Tensor& memory, const Tensor& rarity = {});
  Tensor step(AttentionState& state, const Tensor& x, int64_t first_row);

  /// Replaces the family, keeping the projections: an offline model continues as an EMMA model.
  void choose(Context& context, const AttentionSpec& spec);
  const ChosenAttention& attention() const { return attention_; }
  /// [B,H,T,S], for plots.
  Tensor weights(const Variable& x, const Variable& memory, const Options& options);
  /// From now on every forward pass also shows its weights before dropout, [B,H,T,S], and its mask: quadratic, for analysis. Nothing: stops.
  using Watcher = std::function<void(const Tensor& weights, const Mask& mask)>;
  void watch(Watcher watcher) { watcher_ = std::move(watcher); }
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  Variable split(const Variable& x) const;                  // [B,T,C] -> view [B,H,T,D]
  AttentionInput input(const Variable& x, const Variable& memory, const Options& options, const Pass& pass);
  LinearLayer q_, k_, v_, out_;
  ChosenAttention attention_;
  int64_t width_ = 0, heads_ = 0;
  AttentionRole role_;
  Watcher watcher_;
};

}  // namespace alinea
