// Transformer decoder with its output layer and, for EMMA, a policy per layer.
//   layer: causal self-attention · cross attention on the encoder's states · feed-forward.
#pragma once
#include "models/emma_policy.h"
#include "models/generation.h"
#include "models/positions.h"
#include "nn/multi_head_attention.h"

namespace alinea {

/// p(write) of one layer and head at one decision.
struct PolicyVote {
  int64_t layer = 0, head = 0;
  double p = 1;
};

class TextDecoder final : public Module {
 public:
  /// table_name: of the embedding of target tokens; a model that shares it with its encoder calls it model.shared.weight.
  TextDecoder(Context& context, const TransformerConfig& config, RandomKey key, std::string table_name = "model.decoder.embed_tokens.weight");

  struct Output {
    Variable logits;                                        // [B,T,V]
    std::vector<Variable> alignments;                       // EMMA: alpha [B, 1 or H, T, J] per layer
  };
  /// ids i64 [B,T], memory [B,S,C]; cross: which states each token may see. With `monotonic` the cross attention follows the policies.
  /// extents: lengths of source and target per item (cosFormer).
  /// hidden: gets what enters each layer, and what the output layer reads.
  Output forward(const Tensor& ids, const Variable& memory, const Mask& cross, bool monotonic, const Extents& extents, const Pass& pass,
                 std::vector<Variable>* hidden = nullptr);

  /// Step-by-step decoding of `batch` items; each may be followed by `beams` hypotheses, which share what was read.
  struct State {
    std::vector<std::unique_ptr<AttentionState>> self, cross;
    int64_t beams = 1;
    size_t items = 0;
    int64_t tokens = 0, states = 0;
    Tensor window;                                          // the newest states, as many as its pooling window holds [B,n,C]
  };
  /// expected: predicted target lengths per item, where needs_target_length().
  State begin(int64_t batch, int64_t token_capacity, int64_t state_capacity, std::vector<int32_t> lengths = {}, std::vector<double> expected = {}, int64_t beams = 1);
  bool needs_target_length() const;
  /// Adds encoder states [B,n,C] to what the next steps see.
  void read(State& state, const Tensor& memory);
  /// One token per hypothesis: logits [B,V]; votes (when wanted, batch 1) get p of every layer and head on the newest pooled column.
  Tensor step(State& state, const Tensor& ids, std::vector<PolicyVote>* votes = nullptr);
  /// Forgets the last step, so that it can be done again after more was read.
  void undo(State& state);

  /// From now on there are rows.size() hypotheses, and r continues what rows[r] has written. They stay within their item; items may leave.
  void reorder(State& state, std::span<const int32_t> rows);

  /// Greedy or beam search on encoder states [B,S,C] of which `lengths` are real. Tokens that `config` does not name are the model's.
  Generation generate(const Tensor& memory, const std::vector<int32_t>& lengths, const std::vector<double>& expected, const GenerationConfig& config);

  bool has_policy() const { return policy_.has_value(); }
  /// [V,C]: also the output layer when tied, and the source's embedding of a model that shares it.
  Parameter& table() { return embedding_; }
  void use_cross_attention(const AttentionChoice& choice) {
    choice.check("model.attention.decoder_cross", int64_t(layers_.size()));
    for (size_t i = 0; i < layers_.size(); ++i) layers_[i].cross.choose(context_, choice.layer(int64_t(i)));
  }
  /// Adds freshly initialised policies: an offline model becomes an EMMA model.
  void add_policies(const PolicyConfig& policy, RandomKey key);
  void set_dropout(const TransformerConfig& rates) { config_.copy_dropout(rates); }
  MultiHeadAttention& self_attention(int64_t layer) { return layers_.at(size_t(layer)).self; }
  MultiHeadAttention& cross_attention(int64_t layer) { return layers_.at(size_t(layer)).cross; }
  /// Names as Hugging Face's decoders have them: model.decoder.…, lm_head.weight, final_logits_bias.
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  struct Layer {
    LayerNormLayer self_norm, cross_norm, ffn_norm;
    MultiHeadAttention self, cross;
    FeedForward ffn;
    EmmaPolicy policy;
  };
  Variable embed(const Tensor& ids, int64_t first, Tape* tape);
  Variable normalised(const Variable& x, Tape* tape);       // behind the last layer
  Variable project(const Variable& x, Tape* tape);          // -> logits

  Context& context_;
  TransformerConfig config_;
  std::string table_name_;
  std::optional<PolicyConfig> policy_;
  Parameter embedding_, output_, logits_bias_;                // [V,C]; [V,C], unless tied; fixed: [1,V]
  std::vector<Layer> layers_;
  LayerNormLayer embedding_norm_, final_norm_;
  Positions positions_;
};

}  // namespace alinea
