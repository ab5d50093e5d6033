#include "engine/ops/linear_attention.h"

#include <cmath>
#include <numeric>

#include "engine/blas/tile.h"
#include "engine/core/device.h"
#include "engine/ops/attention_call.h"
#include "engine/ops/cuda_attention_kernels.h"
#include "engine/ops/softmax_attention.h"
#include "engine/ops/softmax_tile.h"

namespace alinea {

std::pair<double, double> extents_of(const LinearAttention& op, int64_t item, int64_t T, int64_t S) {
  const Mask& m = op.mask;
  const auto own = [&](const std::vector<double>& given, const std::vector<int32_t>& lengths, int64_t size) {
    if (!given.empty()) return given[size_t(item)];
    if (m.rule == Mask::Rule::causal) return double(std::max(m.first_row + T, S));
    return double(std::max<int64_t>(1, lengths.empty() ? size : lengths[size_t(item)]));
  };
  return {own(op.extents.source, m.source_lengths, S), own(op.extents.target, m.target_lengths, m.first_row + T)};
}

namespace {

constexpr int64_t tile_rows = 64;

// The rows of one head in tiles, with the columns that all rows (low) and some rows (high) of each tile see.
struct RowTiles {
  struct Tile {
    int64_t first, rows, low, high;
  };
  std::vector<int64_t> visible;
  std::vector<Tile> tiles;
  int64_t columns = 0;                                       // seen by any row

  RowTiles(const Mask& mask, int64_t item, int64_t T, int64_t S) {
    const int64_t real = mask.target_lengths.empty() ? T : std::min<int64_t>(T, mask.target_lengths[size_t(item)]);
    for (int64_t i = 0; i < real; ++i) {
      visible.push_back(mask.visible(item, i, S));
      require(i == 0 || visible[size_t(i)] >= visible[size_t(i - 1)],
              "linear_attention: row {} sees {} columns, the row before {}; a linear state only grows, write times must not decrease", i, visible[size_t(i)],
              visible[size_t(i - 1)]);
    }
    for (int64_t i = 0; i < real; i += tile_rows) {
      const int64_t n = std::min(tile_rows, real - i);
      tiles.push_back({i, n, visible[size_t(i)], visible[size_t(i + n - 1)]});
    }
    columns = tiles.empty() ? 0 : tiles.back().high;
  }
  int64_t real() const { return int64_t(visible.size()); }
};

template <class T>
struct Call : AttentionInputs<T> {
  using AttentionInputs<T>::q, AttentionInputs<T>::k, AttentionInputs<T>::B, AttentionInputs<T>::H, AttentionInputs<T>::T_, AttentionInputs<T>::S, AttentionInputs<T>::D;
  const LinearAttention& op;
  FeatureLift<T> features;
  int64_t M, P, PV;                                          // M: features; P, PV: M and D + 1 in whole vectors
  std::vector<RowTiles> tiles;                               // per item
  std::vector<std::vector<Angle<T>>> row_angles, column_angles;   // cosformer, per item

  Call(const LinearAttention& op, const Tensor& qt, const Tensor& kt, const Tensor& vt)
      : AttentionInputs<T>(qt, kt, vt), op(op), features(op.form.map, D, op.form.projection), M(features.features()), P(whole_vectors<T>(M)), PV(whole_vectors<T>(D + 1)) {
    for (int64_t b = 0; b < B; ++b) {
      tiles.emplace_back(op.mask, b, T_, S);
      if (op.form.map != FeatureMap::cosformer) continue;
      const auto [source, target] = extents_of(op, b, T_, S);
      row_angles.push_back(position_angles<T>(op.mask.first_row, T_, target));
      column_angles.push_back(position_angles<T>(0, S, source));
    }
  }
  const Angle<T>* rows_from(int64_t unit, int64_t first) const { return row_angles.empty() ? nullptr : row_angles[size_t(unit / H)].data() + first; }
  const Angle<T>* columns_from(int64_t unit, int64_t first) const { return column_angles.empty() ? nullptr : column_angles[size_t(unit / H)].data() + first; }
  void lift_rows(int64_t unit, int64_t first, int64_t rows, T* to) const {
    features.lift(FeatureSide::query, q.at(unit, first), q.row, rows, rows_from(unit, first), T(op.form.scale), to);
  }
  void lift_columns(int64_t unit, int64_t columns, T* to) const {
    features.lift(FeatureSide::key, k.at(unit), k.row, columns, columns_from(unit, 0), T(1), to);
  }
  int64_t grain() const { return std::max<int64_t>(1, int64_t(1e5 / std::max(1.0, double(T_ + S) * double(M * D)))); }
  int64_t rows_t() const { return (T_ + tile_rows) / tile_rows * tile_rows + tile_rows; }
  int64_t rows_s() const { return (S + tile_rows) / tile_rows * tile_rows + tile_rows; }
};

// [v, 1], padded with zeros.
template <class T>
void pack_values(const T* v, int64_t step, int64_t rows, int64_t width, T* to) {
  const int64_t padded = whole_vectors<T>(width + 1);
  scale_rows(v, step, rows, width, T(1), to, padded);
  for (int64_t r = 0; r < rows; ++r) {
    to[r * padded + width] = 1;
    std::fill(to + r * padded + width + 1, to + (r + 1) * padded, T(0));
  }
  std::fill(to + rows * padded, to + whole_fours(rows) * padded, T(0));
}
// Row r keeps the columns that it sees of a tile that starts at column `first`.
template <class T>
void hide(T* tile, const int64_t* visible, int64_t rows, int64_t first, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t n = std::clamp<int64_t>(visible[r] - first, 0, columns);
    std::fill(tile + r * tile_rows + n, tile + r * tile_rows + columns, T(0));
  }
}

template <class T>
void forward_head(const Call<T>& c, int64_t unit, T* memory, const Heads<T>& y, T* kept_sums) {
  Scratch<T> scratch(memory);
  const int64_t P = c.P, PV = c.PV;
  const RowTiles& rows = c.tiles[size_t(unit / c.H)];
  const LinearForm& form = c.op.form;
  T* keys = scratch.take(c.rows_s() * P);
  T* values = scratch.take(c.rows_s() * PV);
  T* queries = scratch.take(tile_rows * P);
  T* keys_t = scratch.take(tile_rows * P);
  T* scores = scratch.take(tile_rows * tile_rows);
  T* out = scratch.take(tile_rows * PV);
  T* state = scratch.take(whole_fours(c.M) * PV);
  c.lift_columns(unit, rows.columns, keys);
  pack_values(c.v.at(unit), c.v.row, rows.columns, c.D, values);
  std::fill(state, state + whole_fours(c.M) * PV, T(0));
  int64_t done = 0;
  for (const auto& t : rows.tiles) {
    tile_product<T>({whole_fours(c.M), PV, t.low - done, keys + done * P, 1, P, values + done * PV, PV, panel_width<T>, state, PV, true});
    done = t.low;
    const int64_t fours = whole_fours(t.rows);
    c.lift_rows(unit, t.first, t.rows, queries);
    tile_product<T>({fours, PV, c.M, queries, P, 1, state, PV, panel_width<T>, out, PV, false});
    for (int64_t j = t.low; j < t.high; j += tile_rows) {
      const int64_t m = std::min(tile_rows, t.high - j), whole = whole_vectors<T>(m);
      pack_transposed<T>(keys + j * P, P, m, c.M, keys_t);
      tile_product<T>({fours, whole, c.M, queries, P, 1, keys_t, panel_width<T>, panel_width<T> * c.M, scores, tile_rows, false});
      hide(scores, rows.visible.data() + t.first, t.rows, j, m);
      tile_product<T>({fours, PV, m, scores, tile_rows, 1, values + j * PV, PV, panel_width<T>, out, PV, true});
    }
    for (int64_t r = 0; r < t.rows; ++r) {
      const T z = out[r * PV + c.D], eps = T(form.eps);
      if (kept_sums) kept_sums[unit * c.T_ + t.first + r] = z;
      scale_rows(out + r * PV, PV, 1, c.D, 1 / (form.floor == Floor::add ? z + eps : z < eps ? eps : z), y.at(unit, t.first + r), y.row);
    }
  }
  for (int64_t i = rows.real(); i < c.T_; ++i) {             // rows past the target's length
    std::fill_n(y.at(unit, i), c.D, T(0));
    if (kept_sums) kept_sums[unit * c.T_ + i] = 0;
  }
}

template <class T>
int64_t forward_scratch(const Call<T>& c) {
  return (c.rows_s() + 2 * tile_rows) * c.P + (c.rows_s() + tile_rows + c.P + 4) * c.PV + tile_rows * tile_rows + 8 * lanes<T>;
}

// What backward holds of one head.
template <class T>
struct Work {
  T *keys, *values, *queries, *outer, *dq, *dk, *dv, *keys_t, *values_t, *weights, *slopes, *state;
  Work(const Call<T>& c, T* memory) {
    Scratch<T> s(memory);
    keys = s.take(c.rows_s() * c.P), values = s.take(c.rows_s() * c.PV), queries = s.take(c.rows_t() * c.P), outer = s.take(c.rows_t() * c.PV);
    dq = s.take(c.rows_t() * c.P), dk = s.take(c.rows_s() * c.P), dv = s.take(c.rows_s() * c.PV);
    keys_t = s.take(std::max(tile_rows * c.P, 4 * c.PV)), values_t = s.take(transposed(c)), weights = s.take(tile_rows * tile_rows), slopes = s.take(tile_rows * tile_rows);
    state = s.take(state_size(c));
  }
  static int64_t state_size(const Call<T>& c) { return std::max(whole_fours(c.D + 1) * c.P, whole_fours(c.M) * c.PV); }
  // A transpose of up to max(64, M) columns by D + 1 rows, in whole panels.
  static int64_t transposed(const Call<T>& c) { return (std::max(c.P, tile_rows) + panel_width<T>) * c.PV; }
  static int64_t size(const Call<T>& c) {
    return 2 * (c.rows_s() + c.rows_t()) * (c.P + c.PV) + std::max(tile_rows * c.P, 4 * c.PV) + transposed(c) + 2 * tile_rows * tile_rows + state_size(c) + 16 * lanes<T>;
  }
};

// G' = [w g, −χ w g·o]
template <class T>
void pack_outer(const Call<T>& c, int64_t unit, const RowTiles& rows, const Heads<const T>& g, const Heads<const T>& y, const T* sums, T* outer) {
  const LinearForm& form = c.op.form;
  for (int64_t i = 0; i < rows.real(); ++i) {
    const T z = sums[unit * c.T_ + i], eps = T(form.eps);
    const bool floored = form.floor == Floor::clamp && z < eps;
    const T w = 1 / (form.floor == Floor::add ? z + eps : floored ? eps : z);
    T* to = outer + i * c.PV;
    T dot;
    row_products(g.at(unit, i), g.row, y.at(unit, i), y.row, 1, c.D, &dot);
    scale_rows(g.at(unit, i), g.row, 1, c.D, w, to, c.PV);
    to[c.D] = floored ? T(0) : -w * dot;
    std::fill(to + c.D + 1, to + c.PV, T(0));
  }
  std::fill(outer + rows.real() * c.PV, outer + whole_fours(rows.real()) * c.PV, T(0));
}

// Left to right: dφ(q) from the growing state Σ v' φ(k)ᵀ, and all terms of the masked squares.
template <class T>
void sweep_right(const Call<T>& c, const RowTiles& rows, const Work<T>& w) {
  const int64_t P = c.P, PV = c.PV, height = whole_fours(c.D + 1);
  std::fill(w.state, w.state + height * P, T(0));
  int64_t done = 0;
  for (const auto& t : rows.tiles) {
    const int64_t fours = whole_fours(t.rows);
    T *queries = w.queries + t.first * P, *outer = w.outer + t.first * PV, *dq = w.dq + t.first * P;
    tile_product<T>({height, P, t.low - done, w.values + done * PV, 1, PV, w.keys + done * P, P, panel_width<T>, w.state, P, true});
    done = t.low;
    tile_product<T>({fours, P, c.D + 1, outer, PV, 1, w.state, P, panel_width<T>, dq, P, false});
    for (int64_t j = t.low; j < t.high; j += tile_rows) {
      const int64_t m = std::min(tile_rows, t.high - j), whole = whole_vectors<T>(m), high = whole_fours(m);
      pack_transposed<T>(w.keys + j * P, P, m, c.M, w.keys_t);
      pack_transposed<T>(w.values + j * PV, PV, m, c.D + 1, w.values_t);
      tile_product<T>({fours, whole, c.M, queries, P, 1, w.keys_t, panel_width<T>, panel_width<T> * c.M, w.weights, tile_rows, false});
      tile_product<T>({fours, whole, c.D + 1, outer, PV, 1, w.values_t, panel_width<T>, panel_width<T> * (c.D + 1), w.slopes, tile_rows, false});
      hide(w.weights, rows.visible.data() + t.first, t.rows, j, whole);
      hide(w.slopes, rows.visible.data() + t.first, t.rows, j, whole);
      tile_product<T>({fours, P, m, w.slopes, tile_rows, 1, w.keys + j * P, P, panel_width<T>, dq, P, true});
      tile_product<T>({high, P, t.rows, w.slopes, 1, tile_rows, queries, P, panel_width<T>, w.dk + j * P, P, true});
      tile_product<T>({high, PV, t.rows, w.weights, 1, tile_rows, outer, PV, panel_width<T>, w.dv + j * PV, PV, true});
    }
  }
}

// Right to left: what columns get from the tiles that see them whole, through the state Σ φ(q) G'ᵀ.
template <class T>
void sweep_left(const Call<T>& c, const RowTiles& rows, const Work<T>& w) {
  const int64_t P = c.P, PV = c.PV, height = whole_fours(c.M);
  std::fill(w.state, w.state + height * PV, T(0));
  auto spread = [&](int64_t begin, int64_t end) {
    if (begin >= end) return;
    pack_transposed<T>(w.state, PV, c.M, c.D + 1, w.values_t);
    for (int64_t j = begin; j < end; j += tile_rows) {
      // Rows come in fours; what the last block adds beyond `end` must not count twice, so those rows go through the tile buffers.
      const int64_t m = std::min(tile_rows, end - j), whole = m / 4 * 4, rest = m - whole;
      tile_product<T>({whole, P, c.D + 1, w.values + j * PV, PV, 1, w.values_t, panel_width<T>, panel_width<T> * (c.D + 1), w.dk + j * P, P, true});
      tile_product<T>({whole, PV, c.M, w.keys + j * P, P, 1, w.state, PV, panel_width<T>, w.dv + j * PV, PV, true});
      if (rest == 0) continue;
      const int64_t at = j + whole;
      tile_product<T>({4, P, c.D + 1, w.values + at * PV, PV, 1, w.values_t, panel_width<T>, panel_width<T> * (c.D + 1), w.keys_t, P, false});
      for (int64_t i = 0; i < rest * P; ++i) w.dk[at * P + i] += w.keys_t[i];
      tile_product<T>({4, PV, c.M, w.keys + at * P, P, 1, w.state, PV, panel_width<T>, w.keys_t, PV, false});
      for (int64_t i = 0; i < rest * PV; ++i) w.dv[at * PV + i] += w.keys_t[i];
    }
  };
  for (size_t n = rows.tiles.size(); n-- > 0;) {
    const auto& t = rows.tiles[n];
    if (n + 1 < rows.tiles.size()) spread(t.low, rows.tiles[n + 1].low);
    tile_product<T>({height, PV, t.rows, w.queries + t.first * P, 1, P, w.outer + t.first * PV, PV, panel_width<T>, w.state, PV, true});
  }
  if (!rows.tiles.empty()) spread(0, rows.tiles[0].low);
}

template <class T>
void backward_head(const Call<T>& c, int64_t unit, T* memory, const Heads<const T>& g, const Heads<const T>& y, const T* sums, const Grads<3>& d) {
  const RowTiles& rows = c.tiles[size_t(unit / c.H)];
  const Work<T> w(c, memory);
  c.lift_columns(unit, rows.columns, w.keys);
  pack_values(c.v.at(unit), c.v.row, rows.columns, c.D, w.values);
  c.lift_rows(unit, 0, rows.real(), w.queries);
  pack_outer(c, unit, rows, g, y, sums, w.outer);
  std::fill(w.dk, w.dk + c.rows_s() * c.P, T(0));
  std::fill(w.dv, w.dv + c.rows_s() * c.PV, T(0));
  sweep_right(c, rows, w);
  if (d[1] || d[2]) sweep_left(c, rows, w);
  if (d[0]) {
    const Heads<T> to(d[0]);
    c.features.unlift(FeatureSide::query, w.dq, w.queries, c.q.at(unit), c.q.row, rows.real(), c.rows_from(unit, 0), T(c.op.form.scale), to.at(unit), to.row);
    for (int64_t i = rows.real(); i < c.T_; ++i) std::fill_n(to.at(unit, i), c.D, T(0));
  }
  if (d[1]) {
    const Heads<T> to(d[1]);
    c.features.unlift(FeatureSide::key, w.dk, w.keys, c.k.at(unit), c.k.row, rows.columns, c.columns_from(unit, 0), T(1), to.at(unit), to.row);
    for (int64_t j = rows.columns; j < c.S; ++j) std::fill_n(to.at(unit, j), c.D, T(0));
  }
  if (d[2]) {
    const Heads<T> to(d[2]);
    scale_rows(w.dv, c.PV, c.S, c.D, T(1), to.at(unit), to.row);
  }
}

void check_extents(const Extents& e, int64_t B) {
  for (const auto* side : {&e.source, &e.target}) {
    require(side->empty() || int64_t(side->size()) == B, "linear_attention: {} extents for a batch of {}", side->size(), B);
    for (const double x : *side) require(x > 0 && std::isfinite(x), "linear_attention: an extent is {}; a predicted or real length of at least 1 is needed", x);
  }
}

// What the CPU finds on its way: write times that decrease.
void check_on_gpu(const LinearAttention& op, const Tensor& q, const Tensor& k) {
  cuda::check_head_width("linear_attention", q.size(3));
  for (int64_t b = 0; op.mask.rule == Mask::Rule::given && b < q.size(0); ++b) RowTiles(op.mask, b, q.size(2), k.size(2));
}

}  // namespace

Tensor LinearAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v, Saved* kept) const {
  check_attention("linear_attention", q, k, v, mask);
  check_extents(extents, q.size(0));
  require(form.eps > 0, "linear_attention: eps {} must be above 0, a row may have no similarity to anything", form.eps);
  const Tensor y = empty_heads(q);
  Tensor sums;
  if (kept) sums = q.context().empty({q.size(0), q.size(1), q.size(2)}, q.dtype());
  auto on_cpu = [&] {
    with_float(q.dtype(), "linear_attention", [&]<class T>() {
      const Call<T> c(*this, q, k, v);
      const Heads<T> out(y);
      each_task<T>(q.context(), c.B * c.H, c.grain(), forward_scratch(c), [&](int64_t unit, T* memory) { forward_head(c, unit, memory, out, sums ? sums.data<T>() : nullptr); });
    });
  };
  on_device(q, on_cpu, [&] {
    check_on_gpu(*this, q, k);
    cuda::linear_attention(*this, q, k, v, y, sums);
  });
  if (kept) kept->q = q, kept->k = k, kept->v = v, kept->y = y, kept->sums = sums;
  return y;
}

Grads<3> LinearAttention::backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const {
  g = dense_rows(g);
  Grads<3> d;
  if (need[0]) d[0] = empty_heads(kept.q);
  if (need[1]) d[1] = empty_heads(kept.k);
  if (need[2]) d[2] = empty_heads(kept.v);
  auto on_cpu = [&] {
    with_float(g.dtype(), "linear_attention", [&]<class T>() {
      const Call<T> c(*this, kept.q, kept.k, kept.v);
      const Heads<const T> outer(g), y(kept.y);
      each_task<T>(g.context(), c.B * c.H, c.grain(), Work<T>::size(c), [&](int64_t unit, T* memory) { backward_head(c, unit, memory, outer, y, kept.sums.data<T>(), d); });
    });
  };
  on_device(g, on_cpu, [&] { cuda::linear_attention_backward(*this, kept, g, d); });
  return d;
}

namespace {

void weights_on_cpu(const LinearAttention& op, const Tensor& q, const Tensor& k, const Tensor& w) {
  w.zero();
  with_float(q.dtype(), "linear_attention", [&]<class T>() {
    const Call<T> c(op, q, k, k);
    std::vector<T> keys(size_t(c.rows_s() * c.P)), query(size_t(4 * c.P));
    for (int64_t unit = 0; unit < c.B * c.H; ++unit) {
      const RowTiles& rows = c.tiles[size_t(unit / c.H)];
      c.lift_columns(unit, rows.columns, keys.data());
      for (int64_t i = 0; i < rows.real(); ++i) {
        c.lift_rows(unit, i, 1, query.data());
        T* row = w.data<T>() + (unit * c.T_ + i) * c.S;
        const int64_t seen = rows.visible[size_t(i)];
        row_products<T>(keys.data(), c.P, query.data(), 0, seen, c.M, row);
        const T z = std::accumulate(row, row + seen, T(0)), eps = T(op.form.eps), floored = op.form.floor == Floor::add ? z + eps : std::max(z, eps);
        for (int64_t j = 0; j < seen; ++j) row[j] /= floored;
      }
    }
  });
}

}  // namespace

Tensor linear_attention_weights(const LinearAttention& op, const Tensor& q, const Tensor& k) {
  check_attention("linear_attention", q, k, k, op.mask);
  check_extents(op.extents, q.size(0));
  const Tensor w = q.context().empty({q.size(0), q.size(1), q.size(2), k.size(2)}, q.dtype());
  on_device(q, [&] { weights_on_cpu(op, q, k, w); }, [&] { cuda::linear_attention_weights(op, q, k, w); });
  return w;
}

}  // namespace alinea
