#include "engine/core/parallel.h"
#include "engine/ops/feature_map.h"
#include "engine/ops/heads.h"
#include "engine/ops/linear_attention.h"
#include "engine/ops/softmax_attention.h"

namespace alinea {

namespace {

template <class T, class Map>
ALINEA_KERNEL void fold(const T* k, int64_t k_step, const T* v, int64_t v_step, int64_t rows, int64_t width, T* state, T* sums) {
  for (int64_t r = 0; r < rows; ++r, k += k_step, v += v_step)
    for (int64_t d = 0; d < width; ++d) {
      const T f = Map::value(Vec<T>{} + k[d])[0];
      if (f == 0) continue;                                  // a closed feature adds nothing
      sums[d] += f;
      T* s = state + d * width;
      int64_t e = 0;
      for (; e + lanes<T> <= width; e += lanes<T>) store(s + e, load(s + e) + f * load(v + e));
      for (; e < width; ++e) s[e] += f * v[e];
    }
}
template <class T, class Map>
ALINEA_KERNEL void read_row(const T* q, const T* state, const T* sums, int64_t width, T scale, T eps, bool clamp, T* y) {
  std::fill(y, y + width, T(0));
  T z = 0;
  for (int64_t d = 0; d < width; ++d) {
    const T f = Map::value(Vec<T>{} + q[d])[0] * scale;
    if (f == 0) continue;
    z += f * sums[d];
    const T* s = state + d * width;
    int64_t e = 0;
    for (; e + lanes<T> <= width; e += lanes<T>) store(y + e, load(y + e) + f * load(s + e));
    for (; e < width; ++e) y[e] += f * s[e];
  }
  const T w = 1 / (clamp ? (z < eps ? eps : z) : z + eps);
  for (int64_t e = 0; e < width; ++e) y[e] *= w;
}

}  // namespace

LinearAttentionState::LinearAttentionState(Context& context, int64_t batch, int64_t heads, int64_t width, DType dtype, const LinearForm& form)
    : form_(form), state_(context.zeros({batch, heads, width, width}, dtype)), sums_(context.zeros({batch, heads, width}, dtype)) {}

void LinearAttentionState::append(const Tensor& k, const Tensor& v) {
  check_attention("linear_attention state", k, k, v, {});
  require(k.size(0) == state_.size(0) && k.size(1) == state_.size(1) && k.size(3) == state_.size(3), "linear_attention state: k is {}, the state {}", k.shape(),
          state_.shape());
  const int64_t D = k.size(3);
  with_float(k.dtype(), "linear_attention", [&]<class T>() {
    const Heads<const T> keys(k), values(v);
    with_map(form_.map, [&]<class Map>(Map) {
      parallel_for(k.size(0) * k.size(1), std::max<int64_t>(1, int64_t(2e5 / std::max(1.0, double(k.size(2) * D * D)))), [&](int64_t begin, int64_t end) {
        for (int64_t u = begin; u < end; ++u)
          fold<T, Map>(keys.at(u), keys.row, values.at(u), values.row, k.size(2), D, state_.data<T>() + u * D * D, sums_.data<T>() + u * D);
      });
    });
  });
}

Tensor LinearAttentionState::step(const Tensor& q) const {
  check_attention("linear_attention state", q, q, q, {});
  require(q.size(0) == state_.size(0) && q.size(1) == state_.size(1) && q.size(3) == state_.size(3), "linear_attention state: q is {}, the state {}", q.shape(),
          state_.shape());
  const Tensor y = empty_heads(q);
  const int64_t D = q.size(3), rows = q.size(2);
  with_float(q.dtype(), "linear_attention", [&]<class T>() {
    const Heads<const T> queries(q);
    const Heads<T> out(y);
    with_map(form_.map, [&]<class Map>(Map) {
      parallel_for(q.size(0) * q.size(1), std::max<int64_t>(1, int64_t(2e5 / std::max(1.0, double(rows * D * D)))), [&](int64_t begin, int64_t end) {
        for (int64_t u = begin; u < end; ++u)
          for (int64_t i = 0; i < rows; ++i)
            read_row<T, Map>(queries.at(u, i), state_.data<T>() + u * D * D, sums_.data<T>() + u * D, D, T(form_.scale), T(form_.eps),
                             form_.floor == Floor::clamp, out.at(u, i));
      });
    });
  });
  return y;
}

void LinearAttentionState::reorder(const std::vector<int32_t>& items) {
  require(int64_t(items.size()) == state_.size(0), "linear_attention state: {} items to keep for a batch of {}", items.size(), state_.size(0));
  const Tensor state = state_.clone(), sums = sums_.clone();
  for (size_t b = 0; b < items.size(); ++b) {
    const auto to = int64_t(b), from = int64_t(items[b]);
    require(from >= 0 && from < state.size(0), "linear_attention state: there is no item {} in a batch of {}", from, state.size(0));
    state_.slice(0, to, to + 1).copy_from(state.slice(0, from, from + 1));
    sums_.slice(0, to, to + 1).copy_from(sums.slice(0, from, from + 1));
  }
}

}  // namespace alinea
