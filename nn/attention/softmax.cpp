// Softmax attention (Vaswani et al. 2017): context = softmax(q kᵀ / √D + mask) v, tiled with an online softmax so that no T × S matrix
// is ever stored.
#include "autograd/softmax_attention.h"
#include "nn/attention/attention.h"
#include "nn/attention/key_value_cache.h"

namespace alinea {

namespace {

class SoftmaxFamily final : public Attention {
 public:
  AttentionOutput forward(const AttentionInput& in) override {
    return {softmax_attention(in.q, in.k, in.v, SoftmaxAttention{.mask = in.mask, .dropout = in.dropout, .key = in.pass.key}), {}};
  }
  std::unique_ptr<AttentionState> begin(Context& context, int64_t batch, int64_t capacity, std::vector<int32_t> lengths) override {
    return std::make_unique<KeyValueCache>(context, batch, capacity, std::move(lengths));
  }
  Tensor step(AttentionState& state, const Tensor& q) override { return dynamic_cast<KeyValueCache&>(state).attend(q); }
  Tensor weights(const AttentionInput& in) override { return attention_weights(in.q.value(), in.k.value(), in.mask); }
};

Cost cost(int64_t B, int64_t H, int64_t T, int64_t S, int64_t D) {
  const double heads = double(B) * H;
  return {.flops = heads * T * S * (14.0 * D + 10), .saved_bytes = 4 * heads * ((2.0 * T + 2.0 * S) * D + T), .state_bytes = 8 * heads * S * D};
}

}  // namespace

const AttentionFamily softmax_family = {
    .name = "softmax",
    .definition = "softmax(q kᵀ / √D) v, tiled, O(T + S) extra memory",
    .source = "Vaswani et al. 2017, arXiv 1706.03762",
    .honours = [](const Mask&) { return true; },
    .cost = cost,
    .make = [](Context&, Config options, AttentionShape) -> std::unique_ptr<Attention> {
      options.refuse_unread();
      return std::make_unique<SoftmaxFamily>();
    },
};

}  // namespace alinea
