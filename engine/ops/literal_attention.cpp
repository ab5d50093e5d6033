#include "engine/ops/literal_attention.h"

#include <cmath>
#include <set>

#include "engine/core/device.h"
#include "engine/core/on_host.h"
#include "engine/core/parallel.h"
#include "engine/ops/cuda_attention_kernels.h"
#include "engine/ops/heads.h"
#include "engine/ops/structured_core.h"

namespace alinea {

namespace {

constexpr std::string_view name = "literal";

void check(const LiteralAttention& op, const Tensor& v, const Tensor& band_logits, const Tensor& column_logits, const Tensor& residual) {
  same_device(name, v, band_logits, column_logits, residual);
  require(v.rank() == 4 && (v.size(3) == 1 || v.stride(3) == 1), "{}: v is {} and must be [B, H, S, D] with a dense last axis; call compact() first", name, v.shape());
  const int64_t H = v.size(1), rows = op.rows == 0 ? v.size(2) : op.rows;
  op.pattern.check(name, v.size(0), H, rows, v.size(2));
  require(op.rows >= 0 && op.span >= 0, "{}: rows {} and span {} must be at least 0", name, op.rows, op.span);
  const Shape band{H, 2 * op.pattern.widest() + 1}, column{H};
  require(band_logits && band_logits.shape() == band && band_logits.dtype() == v.dtype(), "{}: band_logits is {}, it must be {} (H, 2 w + 1) in v's dtype", name,
          band_logits.shape(), band);
  require(!column_logits || (column_logits.shape() == column && column_logits.dtype() == v.dtype()), "{}: column_logits is {}, it must be {} (H) in v's dtype", name,
          column_logits.shape(), column);
  require(!residual || (residual.rank() == 2 && residual.size(0) == H && residual.dtype() == v.dtype()), "{}: residual is {}, it must be [{}, n] in v's dtype", name,
          residual.shape(), H);
  require(!residual || op.eps > 0, "{}: eps {} must be above 0, it bounds the residual", name, op.eps);
}

// e = ε tanh(residual / ε).
Tensor bounded(const Tensor& residual, double eps) {
  if (!residual) return {};
  const Tensor e = residual.context().empty(residual.shape(), residual.dtype());
  auto on_cpu = [&] {
    with_float(residual.dtype(), name, [&]<class T>() {
      const T* x = residual.data<T>();
      for (int64_t i = 0; i < residual.count(); ++i) e.data<T>()[i] = T(eps * std::tanh(double(x[i]) / eps));
    });
  };
  on_device(residual, on_cpu, [&] { cuda::bounded(residual, eps, e); });
  return e;
}

StructuredCall call_of(const LiteralAttention& op, const Tensor& v, const Tensor& band_logits, const Tensor& column_logits, const Tensor& e) {
  const int64_t rows = op.rows == 0 ? v.size(2) : op.rows, span = op.span == 0 ? v.size(2) : op.span;
  StructuredCall call{op.pattern, rows, 1, 0, {}, {}, {}, v, band_logits, column_logits, e, {}};
  for (int64_t h = 0; e && h < v.size(1); ++h) {
    auto& entries = call.entries.emplace_back();
    for (const auto& [row, column] : residual_positions(op.key, h, e.size(1), span, op.pattern.mask.rule == Mask::Rule::causal))
      entries.push_back({row, column, int64_t(entries.size())});
  }
  return call;
}

}  // namespace

std::vector<std::pair<int64_t, int64_t>> residual_positions(RandomKey key, int64_t head, int64_t n, int64_t span, bool causal) {
  const int64_t cells = causal ? span * (span + 1) / 2 : span * span;
  require(n <= cells, "{}: {} residual entries do not fit into the {} places of {} positions; use fewer or a larger span", name, n, cells, span);
  std::set<std::pair<int64_t, int64_t>> places;
  Draw draw(key.child("residual").child(uint64_t(head)));
  while (int64_t(places.size()) < n) {
    const int64_t i = draw.integer(0, span - 1), j = draw.integer(0, span - 1);
    if (!causal || j <= i) places.insert({i, j});
  }
  return {places.begin(), places.end()};
}

Tensor LiteralAttention::forward(const Tensor& v, const Tensor& band_logits, const Tensor& column_logits, const Tensor& residual, Saved* kept) const {
  check(*this, v, band_logits, column_logits, residual);
  const StructuredCall call = call_of(*this, v, band_logits, column_logits, bounded(residual, eps));
  const Tensor y = v.context().empty({v.size(0), call.rows, v.size(1), v.size(3)}, v.dtype()).permute({0, 2, 1, 3});
  Tensor log_sum;
  if (kept) log_sum = v.context().empty({v.size(0), v.size(1), call.rows}, v.dtype());
  structured_forward(call, y, log_sum);
  if (kept) kept->v = v, kept->band_logits = band_logits, kept->column_logits = column_logits, kept->residual = residual, kept->y = y, kept->log_sum = log_sum;
  return y;
}

Grads<4> LiteralAttention::backward(Saved&& kept, Tensor&& g, const Needs<4>& need) const {
  const Tensor e = bounded(kept.residual, eps);
  const StructuredCall call = call_of(*this, kept.v, kept.band_logits, kept.column_logits, e);
  const StructuredWants wants{false, false, bool(need[0]), bool(need[1]), need[2] && kept.column_logits, need[3] && kept.residual};
  const StructuredGradients d = structured_backward(call, kept.y, kept.log_sum, dense_rows(g), wants);
  auto on_cpu = [&] {
    with_float(e.dtype(), name, [&]<class T>() {
      for (int64_t i = 0; i < e.count(); ++i) {
        const double t = double(e.data<T>()[i]) / eps;
        d.residual.data<T>()[i] *= T(1 - t * t);
      }
    });
  };
  if (d.residual) on_device(e, on_cpu, [&] { cuda::bounded_backward(e, eps, d.residual); });
  return {d.v, d.band, d.column, d.residual};
}

Tensor literal_weights(const LiteralAttention& op, const Tensor& v, const Tensor& band_logits, const Tensor& column_logits, const Tensor& residual) {
  check(op, v, band_logits, column_logits, residual);
  auto on_cpu = [&](const Tensor& v, const Tensor& band, const Tensor& column, const Tensor& r) { return structured_weights(call_of(op, v, band, column, bounded(r, op.eps))); };
  return on_host(on_cpu, v, band_logits, column_logits, residual);
}

}  // namespace alinea
