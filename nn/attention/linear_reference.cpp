#include "nn/attention/linear_reference.h"

#include "autograd/attention_products.h"
#include "autograd/elementwise.h"
#include "autograd/layout.h"
#include "autograd/reduce.h"

namespace alinea {

namespace {

// f(item, i) as a constant [B,1,n,1], spread over x's shape.
template <class F>
Variable per_position(const Variable& x, F&& f) {
  const int64_t B = x.size(0), n = x.size(2);
  std::vector<double> v;
  for (int64_t b = 0; b < B; ++b)
    for (int64_t i = 0; i < n; ++i) v.push_back(f(b, i));
  return expand(Variable(x.value().context().from(v.data(), {B, 1, n, 1}).to(x.dtype())), x.shape());
}

Variable features(const LinearAttention& op, const Variable& view, bool query, int64_t T, int64_t S) {
  const Variable x = compact(view);
  if (op.form.map == FeatureMap::elu) return add(relu(x), exp(negate(relu(negate(x)))));
  const Variable r = relu(x);
  if (op.form.map == FeatureMap::relu) return r;
  const auto angle = [&](int64_t b, int64_t i) {
    const auto [source, target] = extents_of(op, b, T, S);
    return position_angles<double>(query ? op.mask.first_row + i : i, 1, query ? target : source)[0];
  };
  return concat({mul(r, per_position(r, [&](int64_t b, int64_t i) { return angle(b, i).cos; })), mul(r, per_position(r, [&](int64_t b, int64_t i) { return angle(b, i).sin; }))}, 3);
}

Variable visible(const Mask& mask, const Variable& scores) {
  const int64_t B = scores.size(0), T = scores.size(2), S = scores.size(3);
  std::vector<double> seen(size_t(B * T * S), 0.0);
  for (int64_t b = 0; b < B; ++b)
    for (int64_t i = 0; i < T; ++i) std::fill_n(seen.begin() + (b * T + i) * S, mask.visible(b, i, S), 1.0);
  return expand(Variable(scores.value().context().from(seen.data(), {B, 1, T, S}).to(scores.dtype())), scores.shape());
}

}  // namespace

Variable linear_reference(const LinearAttention& op, const AttentionInput& in) {
  const int64_t B = in.q.size(0), H = in.q.size(1), T = in.q.size(2), S = in.k.size(2);
  const Variable all = attention_scores(features(op, in.q, true, T, S), features(op, in.k, false, T, S), op.form.scale);
  const Variable scores = mul(all, visible(op.mask, all)), z = reshape(sum(scores, 3), {B, H, T, 1});
  const Variable floored = add_scalar(op.form.floor == Floor::add ? z : relu(add_scalar(z, -op.form.eps)), op.form.eps);
  const Variable weights = drop(div(scores, expand(floored, scores.shape())), in.dropout, in.pass.child("weights"));
  return attention_context(weights, in.v);
}

}  // namespace alinea
