#include <cmath>
#include <limits>

#include "engine/core/parallel.h"
#include "engine/ops/heads.h"
#include "engine/ops/structured_core.h"

namespace alinea {

namespace {

// One row of P: the keys of the pattern one by one, scores in `p`, which is otherwise zero.
template <class T>
void row_of(const StructuredCall& c, int64_t unit, int64_t row, T* p) {
  const int64_t H = c.v.size(1), S = c.v.size(2), D = c.v.size(3), item = unit / H, head = unit % H, i = c.pattern.mask.first_row + row;
  const int64_t w = c.pattern.head(head).half_width, widest = c.pattern.widest();
  const auto keys = c.pattern.keys(item, head, row, S);
  const auto near = c.pattern.near(item, head, row, S);
  const auto run = c.pattern.run(item, head, row);
  T most = -std::numeric_limits<T>::infinity(), total = 0;
  for (const int32_t j : keys) {
    T s = 0;
    if (c.q) {
      const T *a = Heads<const T>(c.q).at(unit, row), *b = Heads<const T>(c.k).at(unit, j);
      for (int64_t d = 0; d < D; ++d) s += a[d] * b[d];
      s *= T(c.scale);
    }
    const bool column = !near.holds(j) && std::binary_search(run.begin(), run.end(), j) && c.pattern.reads_column(item, head, row, j, near, S);
    if (c.band && near.holds(j) && std::abs(j - i) <= w) s += c.band.data<T>()[head * (2 * widest + 1) + widest + j - i];
    if (c.column && column) s += c.column.data<T>()[head];
    most = std::max(most, p[j] = s);
  }
  for (const int32_t j : keys) total += p[j] = std::exp(p[j] - most);
  for (const int32_t j : keys) p[j] /= total;
  if (!c.residual) return;
  for (const ResidualEntry& e : c.entries[size_t(head)])
    if (e.row == i && e.column < c.pattern.mask.visible(item, row, S)) p[e.column] += c.residual.data<T>()[head * c.residual.size(1) + e.index];
}

}  // namespace

Tensor structured_weights(const StructuredCall& call) {
  const int64_t units = call.v.size(0) * call.v.size(1), S = call.v.size(2);
  const Tensor weights = call.v.context().zeros({call.v.size(0), call.v.size(1), call.rows, S}, call.v.dtype());
  with_float(weights.dtype(), "structured_weights", [&]<class T>() {
    T* out = weights.data<T>();
    parallel_for(units * call.rows, 64, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) row_of(call, r / call.rows, r % call.rows, out + r * S);
    });
  });
  return weights;
}

}  // namespace alinea
