// Linear attention, one step at a time: the sums over everything seen so far.
#include "engine/blas/tile.h"
#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/ops/cuda_attention_kernels.h"
#include "engine/ops/heads.h"
#include "engine/ops/linear_attention.h"
#include "engine/ops/softmax_attention.h"

namespace alinea {

namespace {

// state += φ vᵀ, sums += φ
template <class T>
ALINEA_KERNEL void fold(const T* phi, const T* v, int64_t features, int64_t width, T* state, T* sums) {
  for (int64_t m = 0; m < features; ++m) {
    const T f = phi[m];
    if (f == 0) continue;                                    // a closed feature adds nothing
    sums[m] += f;
    T* s = state + m * width;
    int64_t e = 0;
    for (; e + lanes<T> <= width; e += lanes<T>) store(s + e, load(s + e) + f * load(v + e));
    for (; e < width; ++e) s[e] += f * v[e];
  }
}
// y = φ state / floor(φ·sums)
template <class T>
ALINEA_KERNEL void read_row(const T* phi, const T* state, const T* sums, int64_t features, int64_t width, T eps, bool clamp, T* y) {
  for (int64_t e = 0; e < width; ++e) y[e] = 0;
  T z = 0;
  for (int64_t m = 0; m < features; ++m) {
    const T f = phi[m];
    if (f == 0) continue;
    z += f * sums[m];
    const T* s = state + m * width;
    int64_t e = 0;
    for (; e + lanes<T> <= width; e += lanes<T>) store(y + e, load(y + e) + f * load(s + e));
    for (; e < width; ++e) y[e] += f * s[e];
  }
  const T w = 1 / (clamp ? (z < eps ? eps : z) : z + eps);
  for (int64_t e = 0; e < width; ++e) y[e] *= w;
}

// f(unit, φ scratch) over items and heads, on as many threads as the work is worth.
template <class T, class F>
void each_unit(int64_t units, int64_t rows, int64_t features, int64_t width, F&& f) {
  parallel_for(units, std::max<int64_t>(1, int64_t(2e5 / std::max(1.0, double(rows * features * width)))), [&](int64_t begin, int64_t end) {
    std::vector<T> phi(size_t(4 * whole_vectors<T>(features)));
    for (int64_t u = begin; u < end; ++u) f(u, phi.data());
  });
}

}  // namespace

LinearAttentionState::LinearAttentionState(Context& context, int64_t batch, int64_t heads, int64_t width, DType dtype, const LinearForm& form, double source_extent,
                                           double target_extent)
    : form_(form), source_extent_(source_extent), target_extent_(target_extent) {
  require(form.map != FeatureMap::cosformer || (source_extent > 0 && target_extent > 0),
          "linear_attention state: cosformer measures positions against lengths; the source's is {}, the target's {}", source_extent, target_extent);
  const int64_t M = feature_count(form.map, width, form.projection);
  state_ = context.zeros({batch, heads, M, width}, dtype);
  sums_ = context.zeros({batch, heads, M}, dtype);
}

void LinearAttentionState::append(const Tensor& k, const Tensor& v) {
  same_device("linear_attention state", state_, k, v);
  check_attention("linear_attention state", k, k, v, {});
  require(k.size(0) == state_.size(0) && k.size(1) == state_.size(1) && k.size(3) == state_.size(3), "linear_attention state: k is {}, the state {}", k.shape(),
          state_.shape());
  const int64_t D = k.size(3), M = state_.size(2), n = k.size(2);
  auto on_cpu = [&] {
    with_float(k.dtype(), "linear_attention", [&]<class T>() {
      const Heads<const T> keys(k), values(v);
      const FeatureLift<T> features(form_.map, D, form_.projection);
      const auto angles = form_.map == FeatureMap::cosformer ? position_angles<T>(columns_, n, source_extent_) : std::vector<Angle<T>>();
      each_unit<T>(k.size(0) * k.size(1), n, M, D, [&](int64_t u, T* phi) {
        for (int64_t j = 0; j < n; ++j) {
          features.lift(FeatureSide::key, keys.at(u, j), keys.row, 1, angles.data() + (angles.empty() ? 0 : j), T(1), phi);
          fold(phi, values.at(u, j), M, D, state_.data<T>() + u * M * D, sums_.data<T>() + u * M);
        }
      });
    });
  };
  on_device(k, on_cpu, [&] { cuda::linear_state_append(form_, k, v, columns_, source_extent_, state_, sums_); });
  columns_ += n;
}

Tensor LinearAttentionState::step(const Tensor& q, int64_t first_row) const {
  same_device("linear_attention state", state_, q);
  check_attention("linear_attention state", q, q, q, {});
  require(q.size(0) == state_.size(0) && q.size(1) == state_.size(1) && q.size(3) == state_.size(3), "linear_attention state: q is {}, the state {}", q.shape(),
          state_.shape());
  const Tensor y = empty_heads(q);
  const int64_t D = q.size(3), M = state_.size(2), rows = q.size(2);
  auto on_cpu = [&] {
    with_float(q.dtype(), "linear_attention", [&]<class T>() {
      const Heads<const T> queries(q);
      const Heads<T> out(y);
      const FeatureLift<T> features(form_.map, D, form_.projection);
      const auto angles = form_.map == FeatureMap::cosformer ? position_angles<T>(first_row, rows, target_extent_) : std::vector<Angle<T>>();
      each_unit<T>(q.size(0) * q.size(1), rows, M, D, [&](int64_t u, T* phi) {
        for (int64_t i = 0; i < rows; ++i) {
          features.lift(FeatureSide::query, queries.at(u, i), queries.row, 1, angles.data() + (angles.empty() ? 0 : i), T(form_.scale), phi);
          read_row(phi, state_.data<T>() + u * M * D, sums_.data<T>() + u * M, M, D, T(form_.eps), form_.floor == Floor::clamp, out.at(u, i));
        }
      });
    });
  };
  on_device(q, on_cpu, [&] { cuda::linear_state_step(form_, q, first_row, target_extent_, state_, sums_, y); });
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
