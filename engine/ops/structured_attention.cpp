#include "engine/ops/structured_attention.h"

#include "engine/core/device.h"
#include "engine/core/on_host.h"
#include "engine/ops/heads.h"
#include "engine/ops/softmax_attention.h"
#include "engine/ops/structured_core.h"

namespace alinea {

namespace {

StructuredCall call_of(const StructuredAttention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& band_bias, const Tensor& column_bias) {
  const double scale = op.scale != 0 ? op.scale : 1 / std::sqrt(double(q.size(3)));
  return {op.pattern, q.size(2), scale, op.dropout, op.key, q, k, v, band_bias, column_bias, {}, {}};
}

void check(const StructuredAttention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& band_bias, const Tensor& column_bias) {
  constexpr std::string_view name = "structured_attention";
  same_device(name, q, band_bias, column_bias);
  check_attention(name, q, k, v, op.pattern.mask);
  op.pattern.check(name, q.size(0), q.size(1), q.size(2), k.size(2));
  require(op.dropout >= 0 && op.dropout < 1, "{}: dropout {} must be in 0 … 1, 1 excluded", name, op.dropout);
  const Shape band{q.size(1), 2 * op.pattern.widest() + 1}, column{q.size(1)};
  require(!band_bias || (band_bias.shape() == band && band_bias.dtype() == q.dtype()), "{}: band_bias is {}, it must be {} (H, 2 w + 1) in q's dtype", name,
          band_bias.shape(), band);
  require(!column_bias || (column_bias.shape() == column && column_bias.dtype() == q.dtype()), "{}: column_bias is {}, it must be {} (H) in q's dtype", name,
          column_bias.shape(), column);
}

}  // namespace

Tensor StructuredAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& band_bias, const Tensor& column_bias, Saved* kept) const {
  check(*this, q, k, v, band_bias, column_bias);
  const Tensor y = empty_heads(q);
  Tensor log_sum;
  if (kept) log_sum = q.context().empty({q.size(0), q.size(1), q.size(2)}, q.dtype());
  structured_forward(call_of(*this, q, k, v, band_bias, column_bias), y, log_sum);
  if (kept) kept->q = q, kept->k = k, kept->v = v, kept->band_bias = band_bias, kept->column_bias = column_bias, kept->y = y, kept->log_sum = log_sum;
  return y;
}

Grads<5> StructuredAttention::backward(Saved&& kept, Tensor&& g, const Needs<5>& need) const {
  const StructuredCall call = call_of(*this, kept.q, kept.k, kept.v, kept.band_bias, kept.column_bias);
  const StructuredWants wants{bool(need[0]), bool(need[1]), bool(need[2]), need[3] && kept.band_bias, need[4] && kept.column_bias, false};
  const StructuredGradients d = structured_backward(call, kept.y, kept.log_sum, dense_rows(g), wants);
  return {d.q, d.k, d.v, d.band, d.column};
}

Tensor structured_weights(const StructuredAttention& op, const Tensor& q, const Tensor& k, const Tensor& band_bias, const Tensor& column_bias) {
  check(op, q, k, k, band_bias, column_bias);
  auto on_cpu = [&](const Tensor& q, const Tensor& k, const Tensor& band, const Tensor& column) { return structured_weights(call_of(op, q, k, k, band, column)); };
  return on_host(on_cpu, q, k, band_bias, column_bias);
}

}  // namespace alinea
