// Linear attention (Katharopoulos et al. 2020; modular linearised attention, Agostinelli and Chen 2023): the similarity is a product of
// feature maps, so keys and values are summed once: O(T + S) time and memory, and a decoder's memory is M × D numbers however long the past.
#include "autograd/linear_attention.h"

#include "nn/attention/attention.h"
#include "nn/attention/linear_reference.h"

namespace alinea {

namespace {

struct LinearOptions {
  std::string feature_map = "relu", eps_mode = "clamp";
  double eps = 0.1, scale = 1;
  int64_t features = 0, redraw = 1000;
  bool reference = false;
  void fields(Config& c) {
    c.field("feature_map", feature_map, "relu, elu (x + 1 above 0, exp below), cosformer (relu, re-weighted by cos of the distance) or favor (random features of softmax)");
    c.field("eps", eps, "keeps the denominator away from zero");
    c.field("eps_mode", eps_mode, "clamp (at least eps) or add");
    c.field("scale", scale, "factor on the similarity");
    c.field("features", features, "favor: random features per head width; 0: twice the width");
    c.field("redraw", redraw, "favor: training steps after which the random features are drawn anew; 0: never");
    c.field("reference", reference, "the quadratic form, with true dropout of the weights; for comparison, O(T S) memory");
  }
  LinearForm form() const {
    require(eps_mode == "clamp" || eps_mode == "add", "attention linear: eps_mode '{}' is not clamp or add", eps_mode);
    require(features >= 0 && redraw >= 0, "attention linear: features {} and redraw {} must not be negative", features, redraw);
    return {feature_map_named(feature_map), eps, eps_mode == "clamp" ? Floor::clamp : Floor::add, scale, {}};
  }
};

// One sum per item, because items have lengths of their own.
class LinearSums final : public AttentionState {
 public:
  LinearSums(Context& context, const DecodeStart& start, const LinearForm& form) : context_(context), start_(start), form_(form) {}

  void append(const Columns& c) override {
    require(c.k.size(0) == start_.batch, "linear attention: {} items appended to a state of {}", c.k.size(0), start_.batch);
    previous_.clear();
    for (const LinearAttentionState& s : items_) previous_.push_back(s.clone());
    if (items_.empty())
      for (int64_t b = 0; b < start_.batch; ++b)
        items_.emplace_back(context_, 1, c.k.size(1), c.k.size(3), c.k.dtype(), form_, extent(start_.extents.source, b), extent(start_.extents.target, b));
    for (int64_t b = 0; b < start_.batch; ++b) {
      const int64_t real = start_.lengths.empty() ? c.k.size(2) : std::clamp<int64_t>(start_.lengths[size_t(b)] - used_, 0, c.k.size(2));
      if (real > 0) items_[size_t(b)].append(c.k.slice(0, b, b + 1).slice(2, 0, real), c.v.slice(0, b, b + 1).slice(2, 0, real));
    }
    used_ += last_ = c.k.size(2);
  }
  void undo() override {
    items_ = std::move(previous_);
    previous_.clear();
    used_ -= last_, last_ = 0;
  }
  void reorder(std::span<const int32_t> items) override {
    std::vector<int> uses(items_.size());
    std::vector<LinearAttentionState> next;
    if (!items_.empty())
      for (const int32_t i : items) next.push_back(uses[size_t(i)]++ == 0 ? items_[size_t(i)] : items_[size_t(i)].clone());   // the first keeps the sums
    items_ = std::move(next);
    previous_.clear();
    start_.select(items);
  }
  int64_t bytes() const override {
    int64_t n = 0;
    for (const auto& s : items_) n += s.bytes();
    return n;
  }
  Tensor step(const Tensor& q, int64_t first_row) const {
    require(!items_.empty(), "linear attention: a step before anything was appended");
    const Tensor y = context_.empty({q.size(0), q.size(2), q.size(1), q.size(3)}, q.dtype()).permute({0, 2, 1, 3});
    const int64_t share = q.size(0) / start_.batch;
    for (int64_t r = 0; r < q.size(0); ++r) y.slice(0, r, r + 1).copy_from(items_[size_t(r / share)].step(q.slice(0, r, r + 1), first_row));
    return y;
  }

 private:
  static double extent(const std::vector<double>& side, int64_t b) { return side.empty() ? 0 : side[size_t(b)]; }
  Context& context_;
  DecodeStart start_;
  int64_t used_ = 0, last_ = 0;
  LinearForm form_;
  std::vector<LinearAttentionState> items_, previous_;
};

class LinearFamily final : public Attention {
 public:
  LinearFamily(Context& context, const LinearOptions& options, const AttentionRole& role) : options_(options), form_(options.form()), key_(role.key) {
    require(!options.reference || form_.map != FeatureMap::favor, "attention linear: favor has no reference mode; its quadratic form is softmax attention itself");
    if (form_.map != FeatureMap::favor) return;
    projection_ = {drawn(context, role.width, 0), {}, false, true};
  }
  AttentionOutput forward(const AttentionInput& in) override {
    redraw(in.pass);
    const LinearAttention op{in.mask, form(), in.extents};
    if (options_.reference) return {linear_reference(op, in), {}};
    require(in.dropout == 0, "attention linear: has no dropout of weights in O(T + S); set attention_dropout to 0, or reference to true");
    return {linear_attention(in.q, in.k, in.v, op), {}};
  }
  std::unique_ptr<AttentionState> begin(Context& context, const DecodeStart& start) override {
    require(form_.map != FeatureMap::cosformer || (!start.extents.source.empty() && !start.extents.target.empty()),
            "attention linear: cosformer decodes with a predicted target length; this model predicts none");
    return std::make_unique<LinearSums>(context, start, form());
  }
  Tensor step(AttentionState& state, const Tensor& q, int64_t first_row) override { return dynamic_cast<LinearSums&>(state).step(q, first_row); }
  Tensor weights(const AttentionInput& in) override { return linear_attention_weights({in.mask, form(), in.extents}, in.q.value(), in.k.value()); }
  Cost cost(const AttentionSizes& n) const override {
    const double heads = double(n.B * n.H), T = double(n.T), S = double(n.S), D = double(n.D), M = double(feature_count(form_.map, n.D, form().projection));
    if (options_.reference) return {.flops = heads * T * S * (6 * D + 6 * M + 20), .saved_bytes = 4 * heads * (5 * T * S + 2 * (T + S) * M), .state_bytes = 4 * heads * M * (D + 1)};
    return {.flops = heads * (T + S) * (6 * M * D + 128 * (M + D)), .saved_bytes = 4 * heads * (2 * (T + S) * D + T), .state_bytes = 4 * heads * M * (D + 1)};
  }
  bool needs_target_length() const override { return form_.map == FeatureMap::cosformer; }
  void visit(const std::string& prefix, const Visitor& v) override {
    if (projection_.value) v(path(prefix, "projection"), projection_);
  }

 private:
  Tensor drawn(Context& context, int64_t width, int64_t round) const {
    return favor_projection(context, options_.features > 0 ? options_.features : 2 * width, width, key_.child("favor").child(uint64_t(round))).to(DType::f32);
  }
  // A pure function of (key, step): a resumed run draws what an uninterrupted one does.
  void redraw(const Pass& pass) {
    if (!projection_.value || !pass.training || options_.redraw == 0 || pass.step % options_.redraw != 0) return;
    projection_.value.copy_from(drawn(projection_.value.context(), projection_.value.size(1), pass.step / options_.redraw));
  }
  LinearForm form() const {
    LinearForm f = form_;
    f.projection = projection_.value;
    return f;
  }
  LinearOptions options_;
  LinearForm form_;
  RandomKey key_;
  Parameter projection_;                                    // favor: w [M, D], saved with the model
};

}  // namespace

const AttentionFamily linear_family = {
    .name = "linear",
    .definition = "φ(q) Σ φ(k) vᵀ / max(φ(q) Σ φ(k), eps), φ = relu, elu, cosformer or favor; chunked, O(T + S) time and memory, O(M D) decoding state",
    .cost_formula = "FLOPs (T + S)(6 M D + 128 (M + D)), saved 4 (2 (T + S) D + T) bytes, state 4 M (D + 1) bytes, per item and head; M = D, 2 D for cosformer",
    .source = "Katharopoulos et al. 2020, arXiv 2006.16236; Agostinelli and Chen 2023, arXiv 2304.08453; Choromanski et al. 2021, arXiv 2009.14794",
    .variants = {"{}", R"({"feature_map": "elu", "eps": 1e-6, "eps_mode": "add"})", R"({"feature_map": "cosformer"})", R"({"feature_map": "favor", "features": 9})", R"({"reference": true})",
                 R"({"feature_map": "elu", "reference": true})", R"({"feature_map": "cosformer", "reference": true, "eps_mode": "add"})"},
    .honours = [](const Mask&) { return true; },
    .options = [] { return Config::fields_of(LinearOptions{}); },
    .make = [](Context& context, Config options, const AttentionRole& role) -> std::unique_ptr<Attention> {
      LinearOptions o;
      o.fields(options);
      options.refuse_unread();
      return std::make_unique<LinearFamily>(context, o, role);
    },
};

}  // namespace alinea
