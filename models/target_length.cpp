#include "models/target_length.h"

#include "autograd/elementwise.h"
#include "autograd/layout.h"
#include "autograd/reduce.h"

namespace alinea {

TargetLength::TargetLength(Context& context, const TransformerConfig& config, int64_t source_words, RandomKey key) : config_(config.target_length) {
  require(config_.kind != "table" || source_words > 0, "target length: kind table looks source tokens up, and speech has none; choose ratio or network");
  ratio_ = constant_parameter(context, {1}, config_.ratio);
  ratio_.trainable = false, ratio_.fixed = true;
  if (config_.kind == "table") table_ = {context.zeros({source_words}, DType::f32), {}, false, true};
  if (config_.kind != "network") return;
  int64_t in = config.d_model;
  for (int64_t i = 0; i < 2; ++i, in = config_.width) {
    const double bound = 1 / std::sqrt(3.0 * double(in));
    const RandomKey k = key.child(uint64_t(i));
    blocks_.push_back({uniform_parameter(context, {config_.width, in, 3}, bound, k.child("weight")), uniform_parameter(context, {config_.width}, bound, k.child("bias")),
                       LayerNormLayer(context, config_.width)});
  }
  out_ = LinearLayer(context, in, 1, key.child("out"));
}

void TargetLength::fit(const std::vector<LengthExample>& examples) {
  require(!examples.empty(), "target length: no training sentences to fit it to");
  if (config_.ratio <= 0) {
    double sum = 0;
    for (const LengthExample& e : examples) sum += double(e.target) / double(std::max<int64_t>(1, e.positions));
    const float mean = float(sum / double(examples.size()));
    ratio_.value.copy_from(ratio_.value.context().from(&mean, {1}));
  }
  if (!table_.value) return;
  // min_t Σ (N − Σ_j t[token_j])² + ridge Σ (t − r)²: sweeps of coordinate descent from the ratio.
  const int64_t V = table_.value.count();
  const double r = scalar(ratio_), ridge = 1;
  std::vector<double> t(size_t(V), r), residual;
  std::vector<std::vector<std::pair<int32_t, int32_t>>> where(static_cast<size_t>(V));   // token -> (sentence, how often)
  for (size_t n = 0; n < examples.size(); ++n) {
    residual.push_back(double(examples[n].target) - r * double(examples[n].source.size()));
    for (const int32_t token : examples[n].source) {
      auto& list = where[size_t(token)];
      if (!list.empty() && list.back().first == int32_t(n)) ++list.back().second;
      else list.emplace_back(int32_t(n), 1);
    }
  }
  for (int sweep = 0; sweep < 20; ++sweep)
    for (int64_t v = 0; v < V; ++v) {
      double top = -ridge * (t[size_t(v)] - r), bottom = ridge;
      for (const auto& [n, count] : where[size_t(v)]) top += count * residual[size_t(n)], bottom += double(count) * count;
      const double step = top / bottom;
      t[size_t(v)] += step;
      for (const auto& [n, count] : where[size_t(v)]) residual[size_t(n)] -= step * count;
    }
  table_.value.copy_from(table_.value.context().from(t.data(), {V}).to(DType::f32));
}

Variable TargetLength::total(const Variable& states, const std::vector<int32_t>& lengths, const Pass& pass) {
  Variable x = states;
  for (Block& b : blocks_) {
    x = conv1d(x, on(pass.tape, b.weight), on(pass.tape, b.bias), Conv1d{.pad_left = 1, .pad_right = 1, .activation = Activation::relu});
    x = drop(b.norm(x, pass.tape), 0.5, pass.child(uint64_t(&b - blocks_.data())));
  }
  const int64_t B = states.size(0), S = states.size(1);
  std::vector<double> real(size_t(B * S), 0.0);
  for (int64_t b = 0; b < B; ++b) std::fill_n(real.begin() + b * S, lengths[size_t(b)], scalar(ratio_));
  const Variable each = exp(reshape(out_(x, pass.tape), {B, S}));
  return sum(mul(each, Variable(states.value().context().from(real.data(), {B, S}).to(x.dtype()))), 1);
}

std::vector<double> TargetLength::predict(const Tensor& states, const std::vector<int32_t>& lengths, const Tensor& ids) {
  require(fitted(), "target length: was never fitted to training data; train the model first");
  std::vector<double> n;
  if (config_.kind == "network") n = total(Variable(states), lengths, {}).value().values<double>();
  else if (table_.value) {
    const auto t = table_.value.values<double>();
    const auto tokens = ids.values<int64_t>();
    for (size_t b = 0; b < lengths.size(); ++b) {
      n.push_back(0);
      for (int32_t j = 0; j < lengths[b]; ++j) n.back() += t[size_t(tokens[b * size_t(ids.size(1)) + size_t(j)])] / config_.dampening;
    }
  } else {
    for (const int32_t length : lengths) n.push_back(scalar(ratio_) * length);
  }
  for (double& x : n) x = std::max(x, 1.0);                  // a prediction of nothing still has an end token
  return n;
}

Variable TargetLength::loss(const Variable& states, const std::vector<int32_t>& lengths, const std::vector<int32_t>& target_lengths, const Pass& pass) {
  if (blocks_.empty()) return {};
  std::vector<double> logs;
  for (const int32_t n : target_lengths) logs.push_back(std::log(double(n)));
  const Variable expected(states.value().context().from(logs.data(), {int64_t(logs.size())}).to(states.dtype()));
  const Variable off = sub(log(total(states, lengths, pass)), expected);
  return mean(mul(off, off));
}

Extents TargetLength::training_extents(const std::vector<int32_t>& source_lengths, const std::vector<int32_t>& target_lengths, const Pass& pass) const {
  Extents e{{source_lengths.begin(), source_lengths.end()}, {target_lengths.begin(), target_lengths.end()}};
  if (config_.jitter <= 1 || !pass.training) return e;
  Draw draw(pass.key.child("target length"));
  for (double& n : e.target) n *= std::pow(config_.jitter, draw.uniform(-1, 1));
  return e;
}

void TargetLength::visit(const std::string& prefix, const Visitor& v) {
  if (!ratio_.value) return;
  v(path(prefix, "ratio"), ratio_);
  if (table_.value) v(path(prefix, "table"), table_);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const std::string p = path(prefix, fmt::format("blocks.{}", i));
    v(path(p, "weight"), blocks_[i].weight);
    v(path(p, "bias"), blocks_[i].bias);
    blocks_[i].norm.visit(path(p, "norm"), v);
  }
  if (!blocks_.empty()) out_.visit(path(prefix, "out"), v);
}

}  // namespace alinea
