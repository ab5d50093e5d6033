// Structured attention row by row: a warp takes the keys of one row, and for the gradients of keys and values the rows of one key, a few at a
// time. Neighbouring warps read neighbouring keys, which stay in the cache. No block adds to another's result.
#include "engine/ops/attention_rows.cuh"
#include "engine/ops/cuda_attention.cuh"
#include "engine/ops/cuda_attention_kernels.h"
#include "engine/ops/structured_lists.h"

namespace alinea::cuda {

namespace {

constexpr int at_once = 4;
enum class Meeting { near, column, random };                // why a row reads a key

template <class T>
struct Call {
  StructuredView p;
  MaskView mask;
  WeightDropout dropout;
  Heads<const T> q, k, v;
  const T *band, *column, *residual;
  T scale;
  int64_t D;
  bool scored;                                              // scores have q·k

  __device__ int64_t visible(int64_t unit, int64_t row) const { return mask.visible(unit / p.H, row, p.S); }
  __device__ int64_t pattern_row(int64_t unit, int64_t row) const { return p.pattern(unit % p.H) * p.T + row; }
  __device__ int64_t near_begin(int64_t unit, int64_t row) const { return std::clamp<int64_t>(p.near_begin[pattern_row(unit, row)], 0, visible(unit, row)); }
  __device__ int64_t near_end(int64_t unit, int64_t row) const { return std::min<int64_t>(p.near_end[pattern_row(unit, row)], visible(unit, row)); }
  __device__ bool is_near(int64_t unit, int64_t row, int64_t j) const { return j >= near_begin(unit, row) && j < near_end(unit, row); }
  __device__ bool is_global(int64_t unit, int64_t row) const { return p.near_end[pattern_row(unit, row)] == std::numeric_limits<int32_t>::max(); }
  __device__ bool reads_column(int64_t unit, int64_t row, int64_t j) const {
    const int64_t extent = p.extent[p.pattern(unit % p.H)], position = p.first_row + row, distance = position > j ? position - j : j - position;
    return (extent < 0 || distance <= extent) && j < visible(unit, row) && !is_near(unit, row, j);
  }
  __device__ bool has_columns(int64_t unit) const { return p.run_of_row && p.reads_columns[p.pattern(unit % p.H)]; }
  // Where the band bias of a pair lies, or -1.
  __device__ int64_t diagonal(int64_t unit, Meeting why, int64_t row, int64_t j) const {
    const int64_t w = p.half_width[p.pattern(unit % p.H)], t = j - p.first_row - row;
    return why == Meeting::near && t >= -w && t <= w ? p.widest + t : -1;
  }
  __device__ T bias(int64_t unit, Meeting why, int64_t row, int64_t j) const {
    if (why == Meeting::column) return column ? column[unit % p.H] : T(0);
    const int64_t at = band ? diagonal(unit, why, row, j) : -1;
    return at >= 0 ? band[unit % p.H * (2 * p.widest + 1) + at] : T(0);
  }
};

// Gathers numbers until there are enough for f(why, count, numbers).
template <class F>
struct Batch {
  F& f;
  Meeting why;
  int count = 0;
  int32_t at[at_once] = {};
  __device__ Batch(F& f, Meeting why) : f(f), why(why) {}
  __device__ void add(int64_t n) {
    at[count++] = int32_t(n);
    if (count == at_once) flush();
  }
  __device__ void flush() {
    if (count > 0) f(why, count, at);
    count = 0;
  }
};

// f(why, count, keys) for the keys of a row.
template <class T, class F>
__device__ void each_key(const Call<T>& c, int64_t unit, int64_t row, F f) {
  const StructuredView& p = c.p;
  Batch<F> near(f, Meeting::near), columns(f, Meeting::column), random(f, Meeting::random);
  for (int64_t j = c.near_begin(unit, row), end = c.near_end(unit, row); j < end; ++j) near.add(j);
  near.flush();
  if (const int64_t run = c.has_columns(unit) ? p.run_of_row[unit / p.H * p.T + row] : -1; run >= 0)
    for (int64_t n = p.runs.begin[run]; n < p.runs.begin[run + 1]; ++n)
      if (const int64_t j = p.runs.values[n]; c.reads_column(unit, row, j)) columns.add(j);
  columns.flush();
  if (!p.random.begin) return;
  const int32_t* begin = p.random.begin + unit * p.T + row;
  for (int64_t n = begin[0]; n < begin[1]; ++n) random.add(p.random.values[n]);
  random.flush();
}

// f(why, count, rows) for the rows that read a key.
template <class T, class F>
__device__ void each_row_of(const Call<T>& c, int64_t unit, int64_t j, F f) {
  const StructuredView& p = c.p;
  const int64_t pattern = p.pattern(unit % p.H);
  Batch<F> near(f, Meeting::near), columns(f, Meeting::column), random(f, Meeting::random);
  for (int64_t i = p.row_begin[pattern * p.S + j]; i < p.row_end[pattern * p.S + j]; ++i)
    if (!c.is_global(unit, i) && c.is_near(unit, i, j)) near.add(i);
  for (int64_t n = p.globals.begin[pattern]; n < p.globals.begin[pattern + 1]; ++n)
    if (j < c.visible(unit, p.globals.values[n])) near.add(p.globals.values[n]);
  near.flush();
  if (c.has_columns(unit)) {
    const int32_t* begin = p.runs_of_key.begin + unit / p.H * p.S + j;
    for (int64_t n = begin[0]; n < begin[1]; ++n)
      for (int64_t run = p.runs_of_key.values[n], i = p.run_first[run]; i < p.run_last[run]; ++i)
        if (c.reads_column(unit, i, j)) columns.add(i);
  }
  columns.flush();
  if (!p.random.begin) return;
  const int32_t* begin = p.random_rows.begin + unit * p.S + j;
  for (int64_t n = begin[0]; n < begin[1]; ++n) random.add(p.random_rows.values[n]);
  random.flush();
}

__device__ int64_t warp_of_grid() { return int64_t(blockIdx.x) * warps_of_block + threadIdx.x / warp; }

template <class T, int N>
__global__ void forward_kernel(Call<T> c, Heads<T> y, T* log_sum) {
  const int64_t index = warp_of_grid(), unit = index / c.p.T, row = index % c.p.T;
  if (unit >= c.p.B * c.p.H) return;
  OnlineRow<T, N> r;
  if (c.scored) r.query.read(c.q.at(unit, row), c.D);
  each_key(c, unit, row, [&](Meeting why, int count, const int32_t* keys) {
    T scores[at_once] = {};
    if (c.scored) r.multiply(count, c.D, [&](int i) { return c.k.at(unit, keys[i]); }, scores);
    for (int i = 0; i < count; ++i) scores[i] = scores[i] * c.scale + c.bias(unit, why, row, keys[i]);
    r.add(count, c.D, scores, [&](int i) { return c.v.at(unit, keys[i]); }, [&](int i) { return T(c.dropout.factor(unit, row, keys[i])); });
  });
  RowVector<T, N> out;
  for (int n = 0; n < N; ++n) out.at[n] = r.sums.at[n] * r.scale();
  if (c.residual) {
    const int64_t head = unit % c.p.H;
    const int32_t* begin = c.p.entries.begin + head * c.p.T + row;
    for (int64_t n = begin[0]; n < begin[1]; ++n)
      if (const int64_t e = head * c.p.entry_count + c.p.entries.values[n]; c.p.entry_key[e] < c.visible(unit, row)) out.add(c.residual[e], c.v.at(unit, c.p.entry_key[e]), c.D);
  }
  out.write(y.at(unit, row), c.D, T(1));
  if (log_sum && threadIdx.x % warp == 0) log_sum[index] = r.log_sum();
}

// What backward has besides; slopes of residual entries [units, n], δ [units, T].
template <class T>
struct Outer {
  Heads<const T> g;
  const T *log_sum, *delta;
};

// g_i · v_j of every residual entry that its row sees, else 0.
template <class T>
__global__ void entry_slopes_kernel(Call<T> c, Heads<const T> g, T* slopes) {
  const int64_t index = warp_of_grid(), unit = index / c.p.entry_count, e = unit % c.p.H * c.p.entry_count + index % c.p.entry_count;
  if (unit >= c.p.B * c.p.H) return;
  const int64_t row = c.p.entry_row[e], key = c.p.entry_key[e];
  T slope = 0;
  if (row >= 0 && key < c.visible(unit, row)) {
    const T *a = g.at(unit, row), *b = c.v.at(unit, key);
    for (int64_t d = threadIdx.x % warp; d < c.D; d += warp) slope += a[d] * b[d];
  }
  slope = over_warp(slope, Sum{});
  if (threadIdx.x % warp == 0) slopes[index] = slope;
}

// y holds E v besides P v, and δ_i = g_i·(P v)_i: delta comes as g·y.
template <class T>
void without_entries(Context& context, const Call<T>& c, const T* slopes, T* delta) {
  each(context, c.p.B * c.p.H * c.p.T, "structured_attention backward", [=] __device__(int64_t index) {
    const int64_t unit = index / c.p.T, head = unit % c.p.H;
    const int32_t* begin = c.p.entries.begin + head * c.p.T + index % c.p.T;
    for (int64_t n = begin[0]; n < begin[1]; ++n)
      delta[index] -= c.residual[head * c.p.entry_count + c.p.entries.values[n]] * slopes[unit * c.p.entry_count + c.p.entries.values[n]];
  });
}

// P and dL/ds of one pair from its products q·k and g·v.
template <class T>
struct Pair {
  T weight, slope;                                          // with dropout; P (g·v m − δ)
  __device__ Pair(const Call<T>& c, const Outer<T>& o, int64_t unit, Meeting why, int64_t row, int64_t key, T qk, T gv) {
    const int64_t at = unit * c.p.T + row;
    const T p = std::exp(qk * c.scale + c.bias(unit, why, row, key) - o.log_sum[at]), factor = T(c.dropout.factor(unit, row, key));
    weight = p * factor, slope = p * (gv * factor - o.delta[at]);
  }
};

// dq, and the slopes of a row's diagonals [units, T, 2 w + 1] (zero before) and of its columns [units, T]; each may be none.
template <class T, int N>
__global__ void query_gradient_kernel(Call<T> c, Outer<T> o, bool wants_q, Heads<T> dq, T* diagonals, T* columns) {
  const int64_t index = warp_of_grid(), unit = index / c.p.T, row = index % c.p.T;
  if (unit >= c.p.B * c.p.H) return;
  OnlineRow<T, N> query, outer;                              // their queries meet keys and values
  RowVector<T, N> d;
  T column_slopes = 0;
  if (c.scored) query.query.read(c.q.at(unit, row), c.D);
  outer.query.read(o.g.at(unit, row), c.D);
  each_key(c, unit, row, [&](Meeting why, int count, const int32_t* keys) {
    T qk[at_once] = {}, gv[at_once];
    if (c.scored) query.multiply(count, c.D, [&](int i) { return c.k.at(unit, keys[i]); }, qk);
    outer.multiply(count, c.D, [&](int i) { return c.v.at(unit, keys[i]); }, gv);
    for (int i = 0; i < count; ++i) {
      const T slope = Pair<T>(c, o, unit, why, row, keys[i], qk[i], gv[i]).slope;
      if (wants_q) d.add(slope, c.k.at(unit, keys[i]), c.D);
      if (why == Meeting::column) column_slopes += slope;
      if (const int64_t t = c.diagonal(unit, why, row, keys[i]); diagonals && t >= 0 && threadIdx.x % warp == 0) diagonals[index * (2 * c.p.widest + 1) + t] = slope;
    }
  });
  if (wants_q) d.write(dq.at(unit, row), c.D, c.scale);
  if (columns && threadIdx.x % warp == 0) columns[index] = column_slopes;
}

template <class T, int N>
__global__ void key_gradient_kernel(Call<T> c, Outer<T> o, bool wants_k, bool wants_v, Heads<T> dk, Heads<T> dv) {
  const int64_t index = warp_of_grid(), unit = index / c.p.S, j = index % c.p.S;
  if (unit >= c.p.B * c.p.H) return;
  OnlineRow<T, N> key, value;
  RowVector<T, N> d_key, d_value;
  if (c.scored) key.query.read(c.k.at(unit, j), c.D);
  value.query.read(c.v.at(unit, j), c.D);
  each_row_of(c, unit, j, [&](Meeting why, int count, const int32_t* rows) {
    T qk[at_once] = {}, gv[at_once];
    if (c.scored) key.multiply(count, c.D, [&](int i) { return c.q.at(unit, rows[i]); }, qk);
    value.multiply(count, c.D, [&](int i) { return o.g.at(unit, rows[i]); }, gv);
    for (int i = 0; i < count; ++i) {
      const Pair<T> pair(c, o, unit, why, rows[i], j, qk[i], gv[i]);
      if (wants_v) d_value.add(pair.weight, o.g.at(unit, rows[i]), c.D);
      if (wants_k) d_key.add(pair.slope, c.q.at(unit, rows[i]), c.D);
    }
  });
  if (c.residual && wants_v) {
    const int64_t head = unit % c.p.H;
    const int32_t* begin = c.p.entries_of_key.begin + head * c.p.S + j;
    for (int64_t n = begin[0]; n < begin[1]; ++n) {
      const int64_t e = head * c.p.entry_count + c.p.entries_of_key.values[n], row = c.p.entry_row[e];
      if (j < c.visible(unit, row)) d_value.add(c.residual[e], o.g.at(unit, row), c.D);
    }
  }
  if (wants_k) d_key.write(dk.at(unit, j), c.D, c.scale);
  if (wants_v) d_value.write(dv.at(unit, j), c.D, T(1));
}

// sum [H, W] = Σ over items and rows of x [B, H, T, W]: runs of 64 rows, then the runs in order.
template <class T>
void sum_rows(const Tensor& x, int64_t H, int64_t T_, const Tensor& sum) {
  constexpr int64_t run = 64;
  const int64_t W = sum.count() / H, units = x.count() / (T_ * W), runs = (T_ + run - 1) / run;
  const Tensor partial = x.context().empty(Shape{units, runs, W}, x.dtype());
  const T* from = x.data<T>();
  T *parts = partial.data<T>(), *to = sum.data<T>();
  each(x.context(), partial.count(), "structured_attention backward", [=] __device__(int64_t i) {
    const int64_t unit = i / W / runs, first = i / W % runs * run, last = std::min(first + run, T_);
    T s = 0;
    for (int64_t row = first; row < last; ++row) s += from[(unit * T_ + row) * W + i % W];
    parts[i] = s;
  });
  each(x.context(), H * W, "structured_attention backward", [=] __device__(int64_t i) {
    T s = 0;
    for (int64_t unit = i / W; unit < units; unit += H)
      for (int64_t n = 0; n < runs; ++n) s += parts[(unit * runs + n) * W + i % W];
    to[i] = s;
  });
}

template <class T>
Call<T> call_of(const StructuredCall& in, const StructuredView& lists, const MaskView& mask) {
  auto data = [](const Tensor& x) { return x ? x.data<T>() : nullptr; };
  return {lists, mask, WeightDropout(in.key, in.dropout, in.rows, in.v.size(2)), Heads<const T>(in.q ? in.q : in.v), Heads<const T>(in.q ? in.k : in.v), Heads<const T>(in.v),
          data(in.band), data(in.column), data(in.residual), T(in.scale), in.v.size(3), bool(in.q)};
}

constexpr int threads = warps_of_block * warp;
constexpr std::string_view name = "structured_attention";

template <class T>
void forward(const StructuredCall& in, const Tensor& y, const Tensor& log_sum) {
  Context& context = y.context();
  const StructuredLists lists(in, context);
  const MaskOnDevice mask(in.pattern.mask, context);
  const Call<T> c = call_of<T>(in, lists.view(), mask.view());
  with_row_width(c.D, [&]<int N>() {
    launch(context, name, blocks_of_rows(c.p.B * c.p.H * c.p.T), threads, 0, forward_kernel<T, N>, c, Heads<T>(y), log_sum ? log_sum.data<T>() : nullptr);
  });
}

template <class T>
StructuredGradients backward(const StructuredCall& in, const Tensor& y, const Tensor& log_sum, const Tensor& g, const StructuredWants& wants) {
  Context& context = g.context();
  const StructuredLists lists(in, context);
  const MaskOnDevice mask(in.pattern.mask, context);
  const Call<T> c = call_of<T>(in, lists.view(), mask.view());
  const int64_t units = c.p.B * c.p.H;
  const Tensor delta = context.empty(log_sum.shape(), g.dtype());
  row_products<T>(g, y, delta);
  StructuredGradients d;
  if (in.residual) {
    const Tensor slopes = context.empty(Shape{units, c.p.entry_count}, g.dtype());
    launch(context, name, blocks_of_rows(slopes.count()), threads, 0, entry_slopes_kernel<T>, c, Heads<const T>(g), slopes.data<T>());
    without_entries<T>(context, c, slopes.data<T>(), delta.data<T>());
    if (wants.residual) sum_rows<T>(slopes, c.p.H, 1, d.residual = context.empty(in.residual.shape(), g.dtype()));
  }
  const Outer<T> o{Heads<const T>(g), log_sum.data<T>(), delta.data<T>()};
  const Tensor diagonals = wants.band ? context.zeros(Shape{units, c.p.T, 2 * c.p.widest + 1}, g.dtype()) : Tensor();
  const Tensor columns = wants.column ? context.empty(Shape{units, c.p.T}, g.dtype()) : Tensor();
  if (wants.q) d.q = empty_heads(in.q);
  if (wants.k) d.k = empty_heads(in.k);
  if (wants.v) d.v = empty_heads(in.v);
  const Heads<T> none(y);
  with_row_width(c.D, [&]<int N>() {
    if (wants.q || wants.band || wants.column)
      launch(context, name, blocks_of_rows(units * c.p.T), threads, 0, query_gradient_kernel<T, N>, c, o, wants.q, wants.q ? Heads<T>(d.q) : none,
             diagonals ? diagonals.data<T>() : nullptr, columns ? columns.data<T>() : nullptr);
    if (wants.k || wants.v)
      launch(context, name, blocks_of_rows(units * c.p.S), threads, 0, key_gradient_kernel<T, N>, c, o, wants.k, wants.v, wants.k ? Heads<T>(d.k) : none,
             wants.v ? Heads<T>(d.v) : none);
  });
  if (wants.band) sum_rows<T>(diagonals, c.p.H, c.p.T, d.band = context.empty(in.band.shape(), g.dtype()));
  if (wants.column) sum_rows<T>(columns, c.p.H, c.p.T, d.column = context.empty(in.column.shape(), g.dtype()));
  return d;
}

template <class T>
void fill_bounded(const Tensor& x, T eps, const Tensor& y) {
  const T* from = x.data<T>();
  T* to = y.data<T>();
  each(x.context(), x.count(), "literal", [=] __device__(int64_t i) { to[i] = eps * std::tanh(from[i] / eps); });
}
template <class T>
void bounded_slopes(const Tensor& y, T eps, const Tensor& d) {
  const T* from = y.data<T>();
  T* to = d.data<T>();
  each(y.context(), y.count(), "literal", [=] __device__(int64_t i) { to[i] *= 1 - from[i] / eps * (from[i] / eps); });
}

}  // namespace

void bounded(const Tensor& x, double eps, const Tensor& y) {
  with_float(x.dtype(), "literal", [&]<class T>() { fill_bounded(x, T(eps), y); });
}

void bounded_backward(const Tensor& y, double eps, const Tensor& d) {
  with_float(y.dtype(), "literal", [&]<class T>() { bounded_slopes(y, T(eps), d); });
}

void structured_forward(const StructuredCall& call, const Tensor& y, const Tensor& log_sum) {
  check_head_width(name, call.v.size(3));
  with_float(y.dtype(), name, [&]<class T>() { forward<T>(call, y, log_sum); });
}

StructuredGradients structured_backward(const StructuredCall& call, const Tensor& y, const Tensor& log_sum, const Tensor& g, const StructuredWants& wants) {
  StructuredGradients d;
  with_float(g.dtype(), name, [&]<class T>() { d = backward<T>(call, y, log_sum, g, wants); });
  return d;
}

}  // namespace alinea::cuda
