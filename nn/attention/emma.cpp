// EMMA (Ma et al. 2023, "Efficient monotonic multihead attention", arXiv 2312.04515): training averages over all read/write paths,
//   alpha = monotonic alignment of the policy's write probabilities,  u = q kᵀ / √D,
//   beta_j = Σ_{k≥j} alpha_k · softmax(u_1 … u_k)_j  (infinite lookback),  context = beta v;
// decoding attends by softmax to what has been read.
#include "autograd/attention_products.h"
#include "autograd/monotonic.h"
#include "nn/attention/attention.h"
#include "nn/attention/key_value_cache.h"

namespace alinea {

namespace {

class Emma final : public Attention {
 public:
  explicit Emma(AttentionShape shape) : scale_(1 / std::sqrt(double(shape.width))) {}

  AttentionOutput forward(const AttentionInput& in) override {
    const auto [alpha, beta] = alignments(in);
    Variable weights = beta;
    if (in.pass.training) weights = drop(weights, in.dropout, in.pass.child("weights"));
    return {attention_context(weights, in.v), alpha};
  }
  std::unique_ptr<AttentionState> begin(Context& context, int64_t batch, int64_t capacity, std::vector<int32_t> lengths) override {
    return std::make_unique<KeyValueCache>(context, batch, capacity, std::move(lengths));
  }
  Tensor step(AttentionState& state, const Tensor& q) override { return dynamic_cast<KeyValueCache&>(state).attend(q); }
  Tensor weights(const AttentionInput& in) override { return alignments(in).second.value(); }

 private:
  std::pair<Variable, Variable> alignments(const AttentionInput& in) const {
    std::vector<int32_t> columns = in.mask.source_lengths;
    for (int32_t& n : columns) n = int32_t((n + in.pooling - 1) / in.pooling);
    const Variable alpha = monotonic_alpha(in.policy, columns);
    const Variable beta = lookback_beta(alpha, attention_scores(in.q, in.k, scale_), in.mask.source_lengths, in.pooling);
    return {alpha, beta};
  }
  double scale_;
};

Cost cost(int64_t B, int64_t H, int64_t T, int64_t S, int64_t D) {
  const double cells = double(B) * H * T * S;
  return {.flops = 3 * cells * (4 * D + 24), .saved_bytes = 4 * (3 * cells + double(B) * H * (T + 2 * S) * D), .state_bytes = 8.0 * B * H * S * D};
}

}  // namespace

const AttentionFamily emma_family = {
    .name = "emma",
    .definition = "expected softmax attention over all read/write paths of a monotonic policy (infinite lookback)",
    .source = "Ma et al. 2023, arXiv 2312.04515",
    .honours = [](const Mask& m) { return m.rule == Mask::Rule::all; },
    .needs_policy = true,
    .cost = cost,
    .make = [](Context&, Config options, AttentionShape shape) -> std::unique_ptr<Attention> {
      options.refuse_unread();
      return std::make_unique<Emma>(shape);
    },
};

}  // namespace alinea
