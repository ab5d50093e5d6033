#include "engine/ops/softmax_attention.h"

#include <limits>

#include "engine/blas/tile.h"
#include "engine/core/device.h"
#include "engine/ops/attention_call.h"
#include "engine/ops/cuda_attention_kernels.h"
#include "engine/ops/softmax_tile.h"

namespace alinea {

namespace {

constexpr int64_t tile_rows = 64, forward_columns = 128, backward_columns = 64;

// Everything that a part of the work needs to know about one call.
template <class T>
struct Call : AttentionInputs<T> {
  using AttentionInputs<T>::B, AttentionInputs<T>::H, AttentionInputs<T>::T_, AttentionInputs<T>::S, AttentionInputs<T>::D;
  const SoftmaxAttention& op;
  double scale;
  int64_t parts;                                             // a head's row tiles go round to this many parts

  Call(const SoftmaxAttention& op, const Tensor& q, const Tensor& k, const Tensor& v)
      : AttentionInputs<T>(q, k, v), op(op), scale(op.scale != 0 ? op.scale : 1 / std::sqrt(double(D))) {
    const int64_t heads = B * H, tiles = (T_ + tile_rows - 1) / tile_rows;
    parts = heads % threads() == 0 || heads >= 4 * threads() ? 1 : std::min<int64_t>(threads(), tiles);
  }
  int64_t tasks() const { return B * H * parts; }
  // Tasks that are worth a thread: below some 200 000 multiply-adds waking one costs more than it saves.
  int64_t grain() const { return std::max<int64_t>(1, int64_t(2e5 * double(parts) / std::max(1.0, double(T_) * double(S) * double(D)))); }
  bool drops() const { return op.dropout > 0; }

  // Columns that the rows of a tile see; the largest of them.
  int64_t visible(int64_t unit, int64_t first, int64_t rows, int64_t* columns) const {
    int64_t most = 0;
    for (int64_t r = 0; r < rows; ++r) most = std::max(most, columns[r] = op.mask.visible(unit / H, first + r, S));
    return most;
  }
  DropoutTile dropout_tile(int64_t unit, int64_t row, int64_t column) const { return {op.key, op.dropout, (unit * T_ + row), column, (S + 3) / 4}; }
};

// Row tiles part, part + parts, … of one head.
template <class T>
void forward_head(const Call<T>& c, int64_t unit, int64_t part, T* memory, const Heads<T>& y, T* log_sum) {
  Scratch<T> scratch(memory);
  const int64_t P = c.P, ld = forward_columns, wide = (c.S + panel_width<T> - 1) / panel_width<T> * panel_width<T>;
  T* keys = scratch.take(wide * P);
  T* values = scratch.take(whole_fours(c.S) * P);
  T* rows = scratch.take(tile_rows * P);
  T* sums = scratch.take(tile_rows * P);
  T* scores = scratch.take(tile_rows * ld);
  T* factors = c.drops() ? scratch.take(tile_rows * ld) : nullptr;
  int64_t packed = 0;                                        // columns in keys and values so far
  for (int64_t i = part * tile_rows; i < c.T_; i += c.parts * tile_rows) {
    const int64_t n = std::min(tile_rows, c.T_ - i);
    int64_t visible[tile_rows];
    T most[tile_rows], total[tile_rows];
    const int64_t columns = c.visible(unit, i, n, visible);
    if (columns > packed) {
      const int64_t from = packed / panel_width<T> * panel_width<T>;   // a panel that was part full is packed again
      pack_transposed(c.k.at(unit, from), c.k.row, columns - from, c.D, keys + from * c.D);
      pack_rows(c.v.at(unit, from), c.v.row, columns - from, c.D, T(1), values + from * P);
      packed = columns;
    }
    pack_rows(c.q.at(unit, i), c.q.row, n, c.D, T(c.scale), rows);
    std::fill(sums, sums + whole_fours(n) * P, T(0));
    std::fill(most, most + n, -std::numeric_limits<T>::infinity());
    std::fill(total, total + n, T(0));
    for (int64_t j = 0; j < columns; j += forward_columns) {
      const int64_t m = std::min(forward_columns, columns - j), whole = whole_vectors<T>(m);
      tile_product<T>({whole_fours(n), whole, c.D, rows, P, 1, keys + j * c.D, panel_width<T>, panel_width<T> * c.D, scores, ld, false});
      if (factors) fill_factors(c.dropout_tile(unit, i, j), n, whole, factors, ld);
      online_softmax<T>({n, whole, j, visible, scores, factors, ld, most, total, sums, P});
      tile_product<T>({whole_fours(n), P, m, scores, ld, 1, values + j * P, P, panel_width<T>, sums, P, true});
    }
    for (int64_t r = 0; r < n; ++r) {
      scale_rows(sums + r * P, P, 1, c.D, total[r] > 0 || total[r] != total[r] ? 1 / total[r] : T(0), y.at(unit, i + r), y.row);
      if (log_sum) log_sum[unit * c.T_ + i + r] = visible[r] > 0 ? most[r] + std::log(total[r]) : T(0);
    }
  }
}

template <class T>
int64_t forward_scratch(const Call<T>& c) {
  return (2 * c.S + panel_width<T> + 4 + 2 * tile_rows) * c.P + 2 * tile_rows * forward_columns + 8 * lanes<T>;
}

template <class T>
void run_forward(const Call<T>& c, const Tensor& y, const Tensor& log_sum) {
  const Heads<T> out(y);
  T* sums = log_sum ? log_sum.data<T>() : nullptr;
  const bool single = c.T_ <= 2 && !c.drops();               // decoding: nothing is packed, a row is read once
  const int64_t size = single ? whole_vectors<T>(c.S + c.D) : forward_scratch(c);
  each_task<T>(y.context(), c.tasks(), c.grain(), size, [&](int64_t task, T* scratch) {
    const int64_t unit = task / c.parts;
    if (!single) {
      forward_head(c, unit, task % c.parts, scratch, out, sums);
      return;
    }
    for (int64_t i = 0; i < c.T_; ++i)
      softmax_row<T>({c.q.at(unit, i), c.k.at(unit), c.k.row, c.v.at(unit), c.v.row, c.op.mask.visible(unit / c.H, i, c.S), c.D, T(c.scale), scratch,
                      out.at(unit, i), sums ? sums + unit * c.T_ + i : nullptr});
  });
}

// Where a task leaves its gradients: dk and dv of this part of the rows.
template <class T>
struct Gradients {
  Heads<T> q, k, v;
  bool wants_q, wants_k, wants_v;
};

// All column tiles of one head against row tiles part, part + parts, …
template <class T>
void backward_head(const Call<T>& c, int64_t unit, int64_t part, T* memory, const Heads<const T>& g, const Heads<const T>& y, const T* log_sum, const Gradients<T>& d) {
  Scratch<T> scratch(memory);
  constexpr int64_t ld = backward_columns;
  const int64_t P = c.P, tiles = (c.T_ + tile_rows - 1) / tile_rows, all = tiles * tile_rows;
  T* queries = scratch.take(all * P);
  T* outer = scratch.take(all * P);
  T* dq = scratch.take(all * P);
  T* delta = scratch.take(all);
  T* keys_t = scratch.take(ld * P);
  T* values_t = scratch.take(ld * P);
  T* keys = scratch.take(ld * P);
  T* dk = scratch.take(ld * P);
  T* dv = scratch.take(ld * P);
  T* weights = scratch.take(tile_rows * ld);
  T* slopes = scratch.take(tile_rows * ld);
  T* factors = c.drops() ? scratch.take(tile_rows * ld) : nullptr;
  std::vector<int64_t> visible(size_t(all), 0), most(size_t(tiles), 0);
  int64_t columns = 0;
  for (int64_t t = part; t < tiles; t += c.parts) {
    const int64_t i = t * tile_rows, n = std::min(tile_rows, c.T_ - i);
    most[size_t(t)] = c.visible(unit, i, n, visible.data() + i);
    columns = std::max(columns, most[size_t(t)]);
    pack_rows(c.q.at(unit, i), c.q.row, n, c.D, T(c.scale), queries + i * P);
    pack_rows(g.at(unit, i), g.row, n, c.D, T(1), outer + i * P);
    std::fill(dq + i * P, dq + (i + tile_rows) * P, T(0));
    row_products<T>(g.at(unit, i), g.row, y.at(unit, i), y.row, n, c.D, delta + i);
  }
  for (int64_t j = 0; j < columns; j += ld) {
    const int64_t m = std::min(ld, columns - j), whole = whole_vectors<T>(m), fours = whole_fours(m);
    pack_transposed(c.k.at(unit, j), c.k.row, m, c.D, keys_t);
    pack_transposed(c.v.at(unit, j), c.v.row, m, c.D, values_t);
    pack_rows(c.k.at(unit, j), c.k.row, m, c.D, T(1), keys);
    std::fill(dk, dk + ld * P, T(0));
    std::fill(dv, dv + ld * P, T(0));
    for (int64_t t = part; t < tiles; t += c.parts) {
      if (most[size_t(t)] <= j) continue;
      const int64_t i = t * tile_rows, n = std::min(tile_rows, c.T_ - i);
      tile_product<T>({whole_fours(n), whole, c.D, queries + i * P, P, 1, keys_t, panel_width<T>, panel_width<T> * c.D, weights, ld, false});
      tile_product<T>({whole_fours(n), whole, c.D, outer + i * P, P, 1, values_t, panel_width<T>, panel_width<T> * c.D, slopes, ld, false});
      if (factors) fill_factors(c.dropout_tile(unit, i, j), n, whole, factors, ld);
      softmax_slopes<T>({n, whole, j, visible.data() + i, log_sum + unit * c.T_ + i, delta + i, weights, slopes, factors, ld});
      if (d.wants_v) tile_product<T>({fours, P, n, weights, 1, ld, outer + i * P, P, panel_width<T>, dv, P, true});
      if (d.wants_k) tile_product<T>({fours, P, n, slopes, 1, ld, queries + i * P, P, panel_width<T>, dk, P, true});
      if (d.wants_q) tile_product<T>({whole_fours(n), P, m, slopes, ld, 1, keys, P, panel_width<T>, dq + i * P, P, true});
    }
    if (d.wants_k) scale_rows(dk, P, m, c.D, T(1), d.k.at(unit, j), d.k.row);
    if (d.wants_v) scale_rows(dv, P, m, c.D, T(1), d.v.at(unit, j), d.v.row);
  }
  for (int64_t j = columns; j < c.S; ++j) {                  // columns that no row sees
    if (d.wants_k) std::fill_n(d.k.at(unit, j), c.D, T(0));
    if (d.wants_v) std::fill_n(d.v.at(unit, j), c.D, T(0));
  }
  for (int64_t t = part; d.wants_q && t < tiles; t += c.parts)
    scale_rows(dq + t * tile_rows * P, P, std::min(tile_rows, c.T_ - t * tile_rows), c.D, T(c.scale), d.q.at(unit, t * tile_rows), d.q.row);
}

template <class T>
int64_t backward_scratch(const Call<T>& c) {
  const int64_t all = (c.T_ + tile_rows - 1) / tile_rows * tile_rows;
  return (3 * all + 5 * backward_columns) * c.P + all + 3 * tile_rows * backward_columns + 16 * lanes<T>;
}

// `partial` [parts, …] holds one gradient per part of the rows; they are added in the order of the parts.
template <class T>
void add_parts(const Tensor& partial, const Tensor& sum) {
  const T* from = partial.data<T>();
  T* to = sum.permute({0, 2, 1, 3}).data<T>();
  const int64_t n = sum.count();
  parallel_for(n, 65536, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T s = from[i];
      for (int64_t p = 1; p < partial.size(0); ++p) s += from[p * n + i];
      to[i] = s;
    }
  });
}

template <class T>
void run_backward(const Call<T>& c, const SoftmaxAttention::Saved& kept, const Tensor& g, const Needs<3>& need, Grads<3>& d) {
  Context& context = g.context();
  d[0] = empty_heads(kept.q), d[1] = empty_heads(kept.k), d[2] = empty_heads(kept.v);
  const Shape split{c.parts, c.B, c.S, c.H, c.D};
  const Tensor dk = c.parts == 1 ? Tensor() : context.empty(split, g.dtype()), dv = c.parts == 1 ? Tensor() : context.empty(split, g.dtype());
  auto target = [&](const Tensor& whole, const Tensor& partial, int64_t part) {
    return Heads<T>(c.parts == 1 ? whole : partial.slice(0, part, part + 1).reshape({c.B, c.S, c.H, c.D}).permute({0, 2, 1, 3}));
  };
  const Heads<const T> outer(g), out(kept.y);
  each_task<T>(context, c.tasks(), c.grain(), backward_scratch(c), [&](int64_t task, T* scratch) {
    const int64_t part = task % c.parts;
    const Gradients<T> to{Heads<T>(d[0]), target(d[1], dk, part), target(d[2], dv, part), need[0].wanted, need[1].wanted, need[2].wanted};
    backward_head(c, task / c.parts, part, scratch, outer, out, kept.log_sum.data<T>(), to);
  });
  if (c.parts > 1) {
    if (need[1]) add_parts<T>(dk, d[1]);
    if (need[2]) add_parts<T>(dv, d[2]);
  }
  for (size_t i = 0; i < 3; ++i)
    if (!need[i]) d[i] = {};
}

// A tile of rows would be nearly empty when decoding; then every row has a block of its own.
void run_on_gpu(const SoftmaxAttention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y, const Tensor& log_sum) {
  cuda::check_head_width("softmax_attention", q.size(3));
  if (q.size(2) > 2 || op.dropout > 0) cuda::softmax_attention(op, q, k, v, y, log_sum);
  else cuda::softmax_attention_rows(op.mask, op.scale != 0 ? op.scale : 1 / std::sqrt(double(q.size(3))), q, k, v, y, log_sum);
}

}  // namespace

void check_attention(std::string_view op, const Tensor& q, const Tensor& k, const Tensor& v, const Mask& mask) {
  same_device(op, q, k, v);
  require(q.rank() == 4 && k.rank() == 4 && k.shape() == v.shape() && q.size(0) == k.size(0) && q.size(1) == k.size(1) && q.size(3) == k.size(3),
          "{}: q is {}, k {}, v {}; they must be q [B, H, T, D] and k, v [B, H, S, D]", op, q.shape(), k.shape(), v.shape());
  require(q.dtype() == k.dtype() && q.dtype() == v.dtype(), "{}: q is {}, k {}, v {}; all must have one dtype", op, q.dtype(), k.dtype(), v.dtype());
  for (const Tensor* x : {&q, &k, &v})
    require(x->size(3) == 1 || x->stride(3) == 1, "{}: the last axis of a {} input has step {}; call compact() first", op, x->shape(), x->stride(3));
  mask.check(op, q.size(0), q.size(2), k.size(2));
}

Tensor SoftmaxAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v, Saved* kept) const {
  check_attention("softmax_attention", q, k, v, mask);
  require(dropout >= 0 && dropout < 1, "softmax_attention: dropout {} must be in 0 … 1, 1 excluded", dropout);
  const Tensor y = empty_heads(q);
  Tensor log_sum;
  if (kept) log_sum = q.context().empty({q.size(0), q.size(1), q.size(2)}, q.dtype());
  auto on_cpu = [&] { with_float(q.dtype(), "softmax_attention", [&]<class T>() { run_forward(Call<T>(*this, q, k, v), y, log_sum); }); };
  on_device(q, on_cpu, [&] { run_on_gpu(*this, q, k, v, y, log_sum); });
  if (kept) kept->q = q, kept->k = k, kept->v = v, kept->y = y, kept->log_sum = log_sum;
  return y;
}

Grads<3> SoftmaxAttention::backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const {
  g = dense_rows(g);
  Grads<3> d;
  auto on_cpu = [&] { with_float(g.dtype(), "softmax_attention", [&]<class T>() { run_backward(Call<T>(*this, kept.q, kept.k, kept.v), kept, g, need, d); }); };
  on_device(g, on_cpu, [&] {
    if (need[0]) d[0] = empty_heads(kept.q);
    if (need[1]) d[1] = empty_heads(kept.k);
    if (need[2]) d[2] = empty_heads(kept.v);
    cuda::softmax_attention_backward(*this, kept, g, d);
  });
  return d;
}

namespace {

void weights_on_cpu(const Tensor& q, const Tensor& k, const Mask& mask, double scale, const Tensor& weights) {
  const int64_t T_ = q.size(2), S = k.size(2), D = q.size(3);
  with_float(q.dtype(), "attention_weights", [&]<class T>() {
    const Heads<const T> queries(q), keys(k);
    T* out = weights.data<T>();
    parallel_for(q.size(0) * q.size(1) * T_, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, S * D)), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t unit = row / T_, n = mask.visible(unit / q.size(1), row % T_, S);
        const T* x = queries.at(unit, row % T_);
        T* p = out + row * S;
        T most = -std::numeric_limits<T>::infinity(), total = 0;
        for (int64_t j = 0; j < n; ++j) {
          const T* y = keys.at(unit, j);
          T s = 0;
          for (int64_t d = 0; d < D; ++d) s += x[d] * y[d];
          most = std::max(most, p[j] = s * T(scale));
        }
        for (int64_t j = 0; j < n; ++j) total += p[j] = std::exp(p[j] - most);
        for (int64_t j = 0; j < n; ++j) p[j] /= total;
        std::fill(p + n, p + S, T(0));
      }
    });
  });
}

}  // namespace

Tensor attention_weights(const Tensor& q, const Tensor& k, const Mask& mask, double scale) {
  check_attention("attention_weights", q, k, k, mask);
  const Tensor weights = q.context().empty({q.size(0), q.size(1), q.size(2), k.size(2)}, q.dtype());
  const double factor = scale != 0 ? scale : 1 / std::sqrt(double(q.size(3)));
  on_device(q, [&] { weights_on_cpu(q, k, mask, factor, weights); }, [&] { cuda::attention_weights(mask, factor, q, k, weights); });
  return weights;
}

}  // namespace alinea
