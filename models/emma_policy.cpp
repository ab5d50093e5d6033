#include "models/emma_policy.h"

#include "autograd/attention_products.h"
#include "autograd/elementwise.h"
#include "autograd/layout.h"

namespace alinea {

EmmaPolicy::EmmaPolicy(Context& context, const PolicyConfig& config, int64_t width, RandomKey key) : config_(config) {
  for (int64_t i = 0; i < config.depth; ++i) {
    q_.emplace_back(context, width, width, key.child("q").child(uint64_t(i)));
    k_.emplace_back(context, width, width, key.child("k").child(uint64_t(i)));
  }
  bias_ = constant_parameter(context, {1}, config.bias);
}

Variable EmmaPolicy::network(std::vector<LinearLayer>& layers, const Variable& x, Tape* tape) const {
  Variable y = x;
  for (LinearLayer& layer : layers) y = layer(y, tape, Activation::relu);
  const int64_t C = y.size(2);
  return permute(reshape(y, {y.size(0), y.size(1), config_.heads, C / config_.heads}), {0, 2, 1, 3});
}

Variable EmmaPolicy::logits(const Variable& states, const Variable& pooled, Tape* tape) {
  const Variable q = network(q_, states, tape), k = network(k_, pooled, tape);
  const Variable z = attention_scores(q, k, 1 / (std::sqrt(double(q.size(3))) * config_.temperature));
  return add(z, expand(reshape(scale(on(tape, bias_), 1 / config_.temperature), {1, 1, 1, 1}), z.shape()));
}

void EmmaPolicy::visit(const std::string& prefix, const Visitor& v) {
  for (size_t i = 0; i < q_.size(); ++i) q_[i].visit(path(prefix, fmt::format("q.{}", i)), v);
  for (size_t i = 0; i < k_.size(); ++i) k_[i].visit(path(prefix, fmt::format("k.{}", i)), v);
  v(path(prefix, "bias"), bias_);
}

}  // namespace alinea
