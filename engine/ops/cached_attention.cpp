#include "engine/ops/cached_attention.h"

#include <cmath>

#include "engine/core/device.h"
#include "engine/ops/attention_call.h"
#include "engine/ops/cuda_attention_kernels.h"
#include "engine/ops/softmax_tile.h"

namespace alinea {

namespace {

void check(const CachedAttention& op, const Tensor& q, const Tensor& k, const Tensor& v) {
  const auto histories = int64_t(op.end.size());
  require(q.rank() == 4 && k.rank() == 4 && v.shape() == k.shape() && q.size(1) == k.size(1) && q.size(3) == k.size(3) && q.dtype() == k.dtype() && q.dtype() == v.dtype(),
          "cached attention: q is {}, k {} and v {}; they must be [R, H, T, D] and twice [I, H, C, D] of one dtype", q.shape(), k.shape(), v.shape());
  require(histories > 0 && q.size(0) % histories == 0 && op.begin.size() == op.end.size(), "cached attention: {} rows and {} histories; each must have as many rows", q.size(0), histories);
  require(k.stride(1) == v.stride(1) && k.stride(2) == v.stride(2) && k.stride(0) == v.stride(0) && k.stride(0) % k.stride(2) == 0 && k.stride(3) == 1,
          "cached attention: k {} and v {} must lie in memory alike, D contiguous", k.shape(), v.shape());
  require(op.source.empty() ? histories <= k.size(0) : int64_t(op.source.size()) == histories * op.columns, "cached attention: {} places are given for {} histories of {} columns",
          op.source.size(), histories, op.columns);
}

}  // namespace

Tensor CachedAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v) const {
  check(*this, q, k, v);
  same_device("cached attention", q, k, v);
  const Tensor y = empty_heads(q), dense = dense_rows(q);
  const int64_t H = q.size(1), T = q.size(2), D = q.size(3), share = q.size(0) / int64_t(end.size()), widest = *std::max_element(end.begin(), end.end());
  auto on_cpu = [&] {
    with_float(q.dtype(), "cached attention", [&]<class E>() {
      const Heads<const E> queries(dense), keys(k), values(v);
      const Heads<E> out(y);
      std::vector<int64_t> places;                            // in steps of one column
      for (const int32_t item : source) places.push_back(int64_t(item) * (k.stride(0) / k.stride(2)) + int64_t(places.size()) % columns);
      const auto grain = std::max<int64_t>(1, int64_t(2e5 / std::max(1.0, double(T * widest * D))));
      each_task<E>(y.context(), q.size(0) * H, grain, whole_vectors<E>(widest + D), [&](int64_t unit, E* scores) {
        const int64_t history = unit / H / share, from = begin[size_t(history)], head = (places.empty() ? history * keys.item : 0) + unit % H * keys.head;
        const int64_t skip = places.empty() ? from * keys.row : 0;
        for (int64_t i = 0; i < T; ++i)
          softmax_row<E>({.q = queries.at(unit, i), .k = keys.data + head + skip, .k_step = keys.row, .v = values.data + head + skip, .v_step = values.row,
                          .visible = end[size_t(history)] - from, .width = D, .scale = E(1 / std::sqrt(double(D))), .scores = scores, .y = out.at(unit, i),
                          .places = places.empty() ? nullptr : places.data() + history * columns + from});
      });
    });
  };
  on_device(q, on_cpu, [&] {
    cuda::check_head_width("cached attention", D);
    cuda::cached_attention(*this, dense, k, v, y);
  });
  return y;
}

}  // namespace alinea
