// Monotonic attention: training averages over all read/write paths of a policy,
//   alpha = monotonic alignment of the policy's write probabilities,  u = q kᵀ / √D,  context = beta v with
//   emma, infinite_lookback   beta_j = Σ_{k≥j} alpha_k · softmax(u_1 … u_k)_j           Arivazhagan et al. 2019; Ma et al. 2023 (EMMA)
//   mocha                     the same over the last `width` columns before k           Chiu & Raffel 2018
//   hard                      beta = alpha                                              Raffel et al. 2017
// alpha comes from the stable recurrence in every variant. Decoding attends by softmax to what has been read: all of it, the last `width`
// columns, the last one. A pooled decision stands at its last source column.
#include "autograd/attention_products.h"
#include "autograd/monotonic.h"
#include "nn/attention/attention.h"
#include "nn/attention/key_value_cache.h"

namespace alinea {

namespace {

struct MonotonicOptions {
  std::string variant = "emma";
  int64_t width = 8;
  void fields(Config& c) {
    c.field("variant", variant, "emma (infinite lookback with EMMA's policy; infinite_lookback is the same weights), mocha or hard");
    c.field("width", width, "mocha: source columns that a token attends to");
  }
  /// Columns that decoding attends to; 0: all.
  int64_t window() const {
    require(width >= 1, "attention monotonic: width {} must be at least 1", width);
    if (variant == "emma" || variant == "infinite_lookback") return 0;
    require(variant == "mocha" || variant == "hard", "attention monotonic: variant '{}' is not one of emma, infinite_lookback, mocha, hard", variant);
    return variant == "hard" ? 1 : width;
  }
};

class Monotonic final : public Attention {
 public:
  Monotonic(const MonotonicOptions& options, const AttentionRole& role) : window_(options.window()), scale_(1 / std::sqrt(double(role.width))) {}

  AttentionOutput forward(const AttentionInput& in) override {
    const auto [alpha, beta] = alignments(in);
    Variable weights = beta;
    if (in.pass.training) weights = drop(weights, in.dropout, in.pass.child("weights"));
    return {attention_context(weights, in.v), alpha};
  }
  std::unique_ptr<AttentionState> begin(Context& context, const DecodeStart& start) override { return std::make_unique<KeyValueCache>(context, start); }
  Tensor step(AttentionState& state, const Tensor& q, int64_t) override { return dynamic_cast<KeyValueCache&>(state).attend(q, window_); }
  Tensor weights(const AttentionInput& in) override { return alignments(in).second.value(); }
  Cost cost(const AttentionSizes& n) const override {
    const double heads = double(n.B * n.H), cells = heads * double(n.T) * double(n.S), D = double(n.D);
    return {.flops = 3 * cells * (4 * D + 24), .saved_bytes = 4 * (3 * cells + heads * double(n.T + 2 * n.S) * D), .state_bytes = 8 * heads * double(n.S) * D};
  }

 private:
  std::pair<Variable, Variable> alignments(const AttentionInput& in) const {
    const std::vector<int32_t>& lengths = in.mask.source_lengths;
    std::vector<int32_t> decisions = lengths;
    for (int32_t& n : decisions) n = int32_t((n + in.pooling - 1) / in.pooling);
    const Variable alpha = monotonic_alpha(in.policy, decisions), u = attention_scores(in.q, in.k, scale_);
    return {alpha, window_ == 0 ? lookback_beta(alpha, u, lengths, in.pooling) : chunk_beta(alpha, u, window_, lengths, in.pooling)};
  }
  int64_t window_;
  double scale_;
};

}  // namespace

const AttentionFamily monotonic_family = {
    .name = "monotonic",
    .definition = "expected attention over all read/write paths of a monotonic policy: emma (infinite lookback), mocha (the last columns) or hard",
    .cost_formula = "FLOPs 3 T S (4 D + 24), saved 4 (3 T S + (T + 2 S) D) bytes, state 8 S D bytes, per item and head",
    .source = "Ma et al. 2023, arXiv 2312.04515; Arivazhagan et al. 2019; Chiu & Raffel 2018; Raffel et al. 2017",
    .variants = {"{}", R"({"variant": "infinite_lookback"})", R"({"variant": "mocha", "width": 2})", R"({"variant": "hard"})"},
    .honours = [](const Mask& m) { return m.rule == Mask::Rule::all && m.target_lengths.empty(); },
    .needs_policy = true,
    .options = [] { return Config::fields_of(MonotonicOptions{}); },
    .make = [](Context&, Config options, const AttentionRole& role) -> std::unique_ptr<Attention> {
      MonotonicOptions o;
      o.fields(options);
      options.refuse_unread();
      return std::make_unique<Monotonic>(o, role);
    },
};

}  // namespace alinea
