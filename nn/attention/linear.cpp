// Linear attention (Katharopoulos et al. 2020; modular linearised attention, Agostinelli and Chen 2023): the similarity is a product of
// feature maps, so keys and values are summed once: O(T + S) time and memory, and a decoder's memory is D × D numbers however long the past.
#include "autograd/linear_attention.h"

#include "nn/attention/attention.h"

namespace alinea {

namespace {

struct LinearOptions {
  std::string feature_map = "relu", eps_mode = "clamp";
  double eps = 0.1, scale = 1;
  void fields(Config& c) {
    c.field("feature_map", feature_map, "relu");
    c.field("eps", eps, "keeps the denominator away from zero");
    c.field("eps_mode", eps_mode, "clamp (at least eps) or add");
    c.field("scale", scale, "factor on the similarity");
  }
  LinearForm form() const {
    require(feature_map == "relu", "attention linear: feature_map '{}' is not supported; relu is", feature_map);
    require(eps_mode == "clamp" || eps_mode == "add", "attention linear: eps_mode '{}' is not clamp or add", eps_mode);
    return {FeatureMap::relu, eps, eps_mode == "clamp" ? Floor::clamp : Floor::add, scale};
  }
};

// One sum per item, because items have lengths of their own.
class LinearSums final : public AttentionState {
 public:
  LinearSums(Context& context, int64_t batch, const LinearForm& form, std::vector<int32_t> lengths)
      : context_(context), batch_(batch), form_(form), lengths_(std::move(lengths)) {}

  void append(const Tensor& k, const Tensor& v) override {
    require(k.size(0) == batch_, "linear attention: {} items appended to a state of {}", k.size(0), batch_);
    previous_.clear();
    for (const LinearAttentionState& s : items_) previous_.push_back(s.clone());
    if (items_.empty())
      for (int64_t b = 0; b < batch_; ++b) items_.emplace_back(context_, 1, k.size(1), k.size(3), k.dtype(), form_);
    for (int64_t b = 0; b < batch_; ++b) {
      const int64_t real = lengths_.empty() ? k.size(2) : std::clamp<int64_t>(lengths_[size_t(b)] - used_, 0, k.size(2));
      if (real > 0) items_[size_t(b)].append(k.slice(0, b, b + 1).slice(2, 0, real), v.slice(0, b, b + 1).slice(2, 0, real));
    }
    used_ += last_ = k.size(2);
  }
  void undo() override {
    items_ = std::move(previous_);
    previous_.clear();
    used_ -= last_, last_ = 0;
  }
  void reorder(std::span<const int32_t> beams) override {
    std::vector<LinearAttentionState> next;
    for (const int32_t b : beams) next.push_back(items_[size_t(b)].clone());
    items_ = std::move(next);
  }
  int64_t bytes() const override {
    int64_t n = 0;
    for (const auto& s : items_) n += s.bytes();
    return n;
  }
  Tensor step(const Tensor& q) const {
    require(!items_.empty(), "linear attention: a step before anything was appended");
    const Tensor y = context_.empty({q.size(0), q.size(2), q.size(1), q.size(3)}, q.dtype()).permute({0, 2, 1, 3});
    for (int64_t b = 0; b < batch_; ++b) y.slice(0, b, b + 1).copy_from(items_[size_t(b)].step(q.slice(0, b, b + 1)));
    return y;
  }

 private:
  Context& context_;
  int64_t batch_, used_ = 0, last_ = 0;
  LinearForm form_;
  std::vector<int32_t> lengths_;
  std::vector<LinearAttentionState> items_, previous_;
};

class LinearFamily final : public Attention {
 public:
  explicit LinearFamily(const LinearForm& form) : form_(form) {}
  AttentionOutput forward(const AttentionInput& in) override {
    require(in.dropout == 0, "attention linear: has no attention dropout; set attention_dropout to 0");
    return {linear_attention(in.q, in.k, in.v, LinearAttention{in.mask, form_}), {}};
  }
  std::unique_ptr<AttentionState> begin(Context& context, int64_t batch, int64_t, std::vector<int32_t> lengths) override {
    return std::make_unique<LinearSums>(context, batch, form_, std::move(lengths));
  }
  Tensor step(AttentionState& state, const Tensor& q) override { return dynamic_cast<LinearSums&>(state).step(q); }

  // The weights are the outputs for one-hot values: column j of the map is the output for v = e_j.
  Tensor weights(const AttentionInput& in) override {
    const Tensor& q = in.q.value();
    const int64_t B = q.size(0), H = q.size(1), T = q.size(2), D = q.size(3), S = in.k.size(2);
    const Tensor w = q.context().empty({B, H, T, S}, q.dtype());
    for (int64_t begin = 0; begin < S; begin += D) {
      const int64_t end = std::min(S, begin + D);
      const Tensor v = q.context().zeros({B, H, S, D}, q.dtype());
      for (int64_t j = begin; j < end; ++j) v.slice(2, j, j + 1).slice(3, j - begin, j - begin + 1).copy_from(q.context().full({B, H, 1, 1}, q.dtype(), 1));
      const Tensor part = LinearAttention{in.mask, form_}.forward(q, in.k.value(), v, nullptr);
      w.slice(3, begin, end).copy_from(part.slice(3, 0, end - begin));
    }
    return w;
  }

 private:
  LinearForm form_;
};

Cost cost(int64_t B, int64_t H, int64_t T, int64_t S, int64_t D) {
  const double heads = double(B) * H;
  return {.flops = heads * (T + S) * D * (6.0 * D + 128), .saved_bytes = 4 * heads * ((2.0 * T + 2.0 * S) * D + T), .state_bytes = 4 * heads * (D * D + D)};
}

}  // namespace

const AttentionFamily linear_family = {
    .name = "linear",
    .definition = "φ(q) Σ φ(k) vᵀ / max(φ(q) Σ φ(k), eps), φ = ReLU; chunked, O(T + S) time and memory, O(D²) decoding state",
    .source = "Katharopoulos et al. 2020, arXiv 2006.16236; Agostinelli and Chen 2023, arXiv 2304.08453",
    .honours = [](const Mask&) { return true; },
    .cost = cost,
    .make = [](Context&, Config options, AttentionShape) -> std::unique_ptr<Attention> {
      LinearOptions o;
      o.fields(options);
      options.refuse_unread();
      return std::make_unique<LinearFamily>(o.form());
    },
};

}  // namespace alinea
