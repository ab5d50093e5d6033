// Softmax attention (Vaswani et al. 2017): context = softmax(q kᵀ / √D + mask) v, tiled with an online softmax so that no T × S matrix
// is ever stored.
#include "autograd/softmax_attention.h"
#include "nn/attention/attention.h"
#include "nn/attention/key_value_cache.h"

namespace alinea {

namespace {

class Softmax final : public Attention {
 public:
  AttentionOutput forward(const AttentionInput& in) override {
    return {softmax_attention(in.q, in.k, in.v, SoftmaxAttention{.mask = in.mask, .dropout = in.dropout, .key = in.pass.key}), {}};
  }
  std::unique_ptr<AttentionState> begin(Context& context, const DecodeStart& start) override { return std::make_unique<KeyValueCache>(context, start); }
  Tensor step(AttentionState& state, const Tensor& q, int64_t) override { return dynamic_cast<KeyValueCache&>(state).attend(q); }
  Tensor weights(const AttentionInput& in) override { return attention_weights(in.q.value(), in.k.value(), in.mask); }
  Cost cost(const AttentionSizes& n) const override {
    const double heads = double(n.B * n.H), T = double(n.T), S = double(n.S), D = double(n.D);
    return {.flops = heads * T * S * (14 * D + 10), .saved_bytes = 4 * heads * (2 * (T + S) * D + T), .state_bytes = 8 * heads * S * D};
  }
};

}  // namespace

const AttentionFamily softmax_family = {
    .name = "softmax",
    .definition = "softmax(q kᵀ / √D) v, tiled, O(T + S) extra memory",
    .cost_formula = "FLOPs 14 T S D (forward 4, backward 10), saved 4 (2 (T + S) D + T) bytes, state 8 S D bytes, per item and head",
    .source = "Vaswani et al. 2017, arXiv 1706.03762",
    .variants = {"{}"},
    .honours = [](const Mask&) { return true; },
    .options = [] { return std::vector<Config::Field>(); },
    .make = [](Context&, Config options, const AttentionRole&) -> std::unique_ptr<Attention> {
      options.refuse_unread();
      return std::make_unique<Softmax>();
    },
};

}  // namespace alinea
