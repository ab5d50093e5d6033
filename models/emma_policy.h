// EMMA's policy network (Ma et al. 2023, arXiv 2312.04515, section 3.1), one per decoder layer:
//   z_ij = (FFN_q(s_i) · FFN_k(h̄_j) / √d + b) / τ,   p_ij = σ(z_ij): the probability of writing token i when column j is the last one read.
// s_i: decoder state before cross attention (normalised); h̄_j: encoder states averaged over a window of `pooling`.
// FFN: depth × (linear, ReLU). heads = 1 shares one alignment among the layer's heads.
#pragma once
#include "models/s2t_config.h"
#include "nn/layers.h"

namespace alinea {

class EmmaPolicy final : public Module {
 public:
  EmmaPolicy() = default;
  EmmaPolicy(Context& context, const PolicyConfig& config, int64_t width, RandomKey key);

  /// states [B,T,C], pooled [B,J,C] -> logits z [B,heads,T,J].
  Variable logits(const Variable& states, const Variable& pooled, Tape* tape);
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  Variable network(std::vector<LinearLayer>& layers, const Variable& x, Tape* tape) const;
  PolicyConfig config_;
  std::vector<LinearLayer> q_, k_;
  Parameter bias_;                                          // [1]
};

}  // namespace alinea
