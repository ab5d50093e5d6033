// Linear attention in chunks of columns and of rows. States Σ φ(k) v'ᵀ of whole chunks are formed side by side and then added up along the
// sequence; a tile of rows multiplies the state of the chunks that all its rows see whole, and meets the few columns beyond one by one.
// The gradients of keys and values are the same from the other end: states Σ φ(q) G'ᵀ of the rows that see a whole chunk of columns.
#include "engine/ops/linear_features.cuh"

#include "engine/ops/attention_rows.cuh"
#include "engine/ops/attention_weights.cuh"
#include "engine/ops/cuda_attention_kernels.h"

namespace alinea::cuda {

namespace {

template <class T>
struct Call {
  Heads<const T> q, k, v;
  MaskView mask;
  const T *queries, *keys;                                  // φ(q) [units, T, M], times the scale, and φ(k) [units, S, M]
  const int64_t *real, *seen;                               // per item: rows within the target's length, columns that any row sees
  int64_t H, units, rows, columns, M, D;
  T eps;
  bool clamp;

  static constexpr int side = Tile<T>::side;
  __host__ __device__ int64_t row_tiles() const { return (rows + side - 1) / side; }
  __host__ __device__ int64_t column_tiles() const { return (columns + side - 1) / side; }
  __device__ int64_t visible(int64_t unit, int64_t row) const { return row < real[unit / H] ? mask.visible(unit / H, row, columns) : 0; }
  __device__ T floored(T z) const { return clamp ? (z < eps ? eps : z) : z + eps; }
  // The first row that sees column j, or the number of real rows.
  __device__ int64_t first_row_with(int64_t unit, int64_t j) const {
    int64_t low = 0, high = real[unit / H];
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (visible(unit, middle) > j) high = middle;
      else low = middle + 1;
    }
    return low;
  }
  __device__ HeadRows<T> query_rows(int64_t unit, int64_t first) const { return {queries + unit * rows * M, M, first, real[unit / H], M}; }
  __device__ HeadRows<T> key_rows(int64_t unit, int64_t first) const { return {keys + unit * columns * M, M, first, seen[unit / H], M}; }
  __device__ HeadRows<T> value_rows(int64_t unit, int64_t first) const { return {v, unit, first, seen[unit / H], D}; }
  __device__ ExtendedRows<T> extended_values(int64_t unit, int64_t first) const { return {value_rows(unit, first), nullptr, nullptr}; }
};

// G' = [w g, −χ w g·o], its two numbers of a row.
template <class T>
struct Outer {
  Heads<const T> g;
  const T *w, *last;                                        // [units, T]
  __device__ ExtendedRows<T> rows(const Call<T>& c, int64_t unit, int64_t first) const {
    return {HeadRows<T>(g, unit, first, c.real[unit / c.H], c.D), w + unit * c.rows, last + unit * c.rows};
  }
};

// States [units, chunks + 1, M, D + 1].
template <class T>
struct States {
  T* data;
  int64_t chunks, M, E;
  __device__ T* at(int64_t unit, int64_t chunk) const { return data + (unit * (chunks + 1) + chunk) * M * E; }
  // As rows m = first … of E numbers.
  __device__ HeadRows<T> rows(int64_t unit, int64_t chunk, int64_t first) const { return {at(unit, chunk), E, first, M, E}; }
};

// Σ over a chunk's rows of φ v'ᵀ (of keys), or of φ(q) G'ᵀ.  blocks: (unit · chunks) x (feature tiles · tiles of E).
template <class T, bool of_queries>
__global__ void chunk_sums_kernel(Call<T> c, Outer<T> o, States<T> states) {
  using G = Tile<T>;
  alignas(16) __shared__ T a[Panel<T>::slice_size], b[Panel<T>::slice_size];
  const int64_t unit = blockIdx.x / states.chunks, chunk = blockIdx.x % states.chunks, tiles = (states.E + G::side - 1) / G::side;
  const int64_t m0 = blockIdx.y / tiles * G::side, e0 = blockIdx.y % tiles * G::side, first = chunk * G::side;
  const HeadRows<T> features = of_queries ? c.query_rows(unit, first) : c.key_rows(unit, first);
  const ExtendedRows<T> values = of_queries ? o.rows(c, unit, first) : c.extended_values(unit, first);
  G sum;
  for (int r = 0; r < G::side; r += Panel<T>::slice) {
    __syncthreads();
    features.stage(a, r, m0);
    values.stage(b, r, e0);
    __syncthreads();
    multiply(sum, a, b, Panel<T>::slice);
  }
  T* to = states.at(unit, chunk);
  for (int i = 0; i < G::micro; ++i)
    for (int j = 0; j < G::micro; ++j)
      if (m0 + G::row(i) < states.M && e0 + G::column(j) < states.E) to[(m0 + G::row(i)) * states.E + e0 + G::column(j)] = sum.at[i][j];
}

// State n becomes the sum of the chunks before it, or from it on.
template <class T>
void add_up(Context& context, const States<T>& states, int64_t units, bool from_the_end) {
  const int64_t size = states.M * states.E, chunks = states.chunks;
  T* const data = states.data;
  each(context, units * size, "linear_attention: states", [=] __device__(int64_t i) {
    T* at = data + i / size * (chunks + 1) * size + i % size;
    T sum = 0;
    for (int64_t n = 0; n < chunks; ++n) {
      T& here = at[(from_the_end ? chunks - 1 - n : n) * size];
      const T own = here;
      here = from_the_end ? sum + own : sum;
      sum += own;
    }
    at[chunks * size] = from_the_end ? T(0) : sum;
  });
}

// What the rows of a tile do not see of a square of weights becomes 0.
template <class T>
__device__ void hide(const Call<T>& c, Tile<T>& s, int64_t unit, int64_t first_row, int64_t first_column) {
  using G = Tile<T>;
  for (int i = 0; i < G::micro; ++i) {
    const int64_t visible = c.visible(unit, first_row + G::row(i));
    for (int j = 0; j < G::micro; ++j)
      if (first_column + G::column(j) >= visible) s.at[i][j] = 0;
  }
}

// Rows of a tile: columns before `whole` are in the state, those to `high` are met one by one.
template <class T>
struct Reach {
  int64_t whole, high;
  __device__ Reach(const Call<T>& c, int64_t unit, int64_t first) {
    const int64_t last = std::min<int64_t>(first + c.side, c.real[unit / c.H]) - 1;
    whole = last < first ? 0 : c.visible(unit, first) / c.side * c.side;
    high = last < first ? 0 : c.visible(unit, last);
  }
};

// y and z of a tile of rows, columns e0 … of the head.  blocks: (unit · row tiles) x tiles of D.
template <class T>
__global__ void forward_kernel(Call<T> c, States<T> states, Heads<T> y, T* sums) {
  using G = Tile<T>;
  alignas(16) __shared__ T a[Panel<T>::slice_size], b[Panel<T>::slice_size], weights[Panel<T>::square_size];
  const int64_t unit = blockIdx.x / c.row_tiles(), first = blockIdx.x % c.row_tiles() * G::side, e0 = blockIdx.y * G::side;
  const Reach<T> reach(c, unit, first);
  const HeadRows<T> queries = c.query_rows(unit, first);
  const HeadRows<T> state = states.rows(unit, reach.whole / G::side, 0);
  G out;
  add_product(out, queries, state, c.M, e0, a, b);
  T z[G::micro];
  for (int i = 0; i < G::micro; ++i) {
    const int64_t row = first + G::row(i);
    T part = 0;
    if (row < queries.rows)
      for (int64_t m = G::x(); m < c.M; m += 16) part += queries.data[row * c.M + m] * state.data[m * states.E + c.D];
    z[i] = across_row(part, Sum{});
  }
  for (int64_t j = reach.whole; j < reach.high; j += G::side) {
    G s;
    add_scores(s, queries, c.key_rows(unit, j), c.M, a, b);
    hide(c, s, unit, first, j);
    for (int i = 0; i < G::micro; ++i) {
      T part = 0;
      for (int n = 0; n < G::micro; ++n) part += s.at[i][n];
      z[i] += across_row(part, Sum{});
    }
    __syncthreads();                                         // the weights of the last square have been read
    store_columns(s, weights);
    add_weighted(out, weights, c.value_rows(unit, j), e0, b);
  }
  write_rows(out, y, unit, first, c.rows, e0, c.D, [&](int i) { return 1 / c.floored(z[i]); });
  if (!sums || G::x() != 0 || e0 != 0) return;
  for (int i = 0; i < G::micro; ++i)
    if (const int64_t row = first + G::row(i); row < c.rows) sums[unit * c.rows + row] = z[i];
}

// dφ(q), features m0 …:  blocks: (unit · row tiles) x feature tiles.
template <class T>
__global__ void query_gradient_kernel(Call<T> c, Outer<T> o, States<T> states, T* d) {
  using G = Tile<T>;
  alignas(16) __shared__ T a[Panel<T>::slice_size], b[Panel<T>::slice_size], weights[Panel<T>::square_size];
  const int64_t unit = blockIdx.x / c.row_tiles(), first = blockIdx.x % c.row_tiles() * G::side, m0 = blockIdx.y * G::side;
  const Reach<T> reach(c, unit, first);
  const ExtendedRows<T> outer = o.rows(c, unit, first);
  G sum;
  add_scores(sum, outer, states.rows(unit, reach.whole / G::side, m0), states.E, a, b);
  for (int64_t j = reach.whole; j < reach.high; j += G::side) {
    G s;
    add_scores(s, outer, c.extended_values(unit, j), states.E, a, b);
    hide(c, s, unit, first, j);
    __syncthreads();
    store_columns(s, weights);
    add_weighted(sum, weights, c.key_rows(unit, j), m0, b);
  }
  for (int i = 0; i < G::micro; ++i)
    for (int j = 0; j < G::micro; ++j)
      if (const int64_t row = first + G::row(i), m = m0 + G::column(j); row < c.rows && m < c.M) d[(unit * c.rows + row) * c.M + m] = sum.at[i][j];
}

// Row tiles begin … end-1 see some of the columns first … of a tile; the rows from tile `end` on see all of them.
template <class T>
struct Seers {
  int64_t begin, end;
  __device__ Seers(const Call<T>& c, int64_t unit, int64_t first) {
    const int64_t last = std::min<int64_t>(first + c.side, c.columns) - 1;
    begin = c.first_row_with(unit, first) / c.side;
    end = (c.first_row_with(unit, last) + c.side - 1) / c.side;
  }
};

// dφ(k), features m0 …:  blocks: (unit · column tiles) x feature tiles.
template <class T>
__global__ void key_gradient_kernel(Call<T> c, Outer<T> o, States<T> states, T* d) {
  using G = Tile<T>;
  alignas(16) __shared__ T a[Panel<T>::slice_size], b[Panel<T>::slice_size], weights[Panel<T>::square_size];
  const int64_t unit = blockIdx.x / c.column_tiles(), first = blockIdx.x % c.column_tiles() * G::side, m0 = blockIdx.y * G::side;
  const Seers<T> seers(c, unit, first);
  const ExtendedRows<T> values = c.extended_values(unit, first);
  G sum;
  add_scores(sum, values, states.rows(unit, seers.end, m0), states.E, a, b);
  for (int64_t t = seers.begin; t < seers.end; ++t) {
    G s;
    add_scores(s, o.rows(c, unit, t * G::side), values, states.E, a, b);
    hide(c, s, unit, t * G::side, first);
    __syncthreads();
    store_rows(s, weights);
    add_weighted(sum, weights, c.query_rows(unit, t * G::side), m0, b);
  }
  for (int i = 0; i < G::micro; ++i)
    for (int j = 0; j < G::micro; ++j)
      if (const int64_t column = first + G::row(i), m = m0 + G::column(j); column < c.columns && m < c.M) d[(unit * c.columns + column) * c.M + m] = sum.at[i][j];
}

// dv, columns e0 … of the head:  blocks: (unit · column tiles) x tiles of D.
template <class T>
__global__ void value_gradient_kernel(Call<T> c, Outer<T> o, States<T> states, Heads<T> dv) {
  using G = Tile<T>;
  alignas(16) __shared__ T a[Panel<T>::slice_size], b[Panel<T>::slice_size], weights[Panel<T>::square_size];
  const int64_t unit = blockIdx.x / c.column_tiles(), first = blockIdx.x % c.column_tiles() * G::side, e0 = blockIdx.y * G::side;
  const Seers<T> seers(c, unit, first);
  const HeadRows<T> keys = c.key_rows(unit, first);
  G sum;
  add_product(sum, keys, states.rows(unit, seers.end, 0), c.M, e0, a, b);
  for (int64_t t = seers.begin; t < seers.end; ++t) {
    G s;
    add_scores(s, c.query_rows(unit, t * G::side), keys, c.M, a, b);
    hide(c, s, unit, t * G::side, first);
    __syncthreads();
    store_rows(s, weights);
    add_weighted(sum, weights, o.rows(c, unit, t * G::side), e0, b);
  }
  write_rows(sum, dv, unit, first, c.columns, e0, c.D, [](int) { return T(1); });
}

// w = 1/ẑ, and −χ w g·o in place of g·o.
template <class T>
void floor_slopes(Context& context, const Tensor& kept_sums, const Tensor& weights, const Tensor& products, T eps, bool clamp) {
  const T* sums = kept_sums.data<T>();
  T *w = weights.data<T>(), *last = products.data<T>();
  each(context, weights.count(), "linear_attention backward", [=] __device__(int64_t i) {
    const bool floored = clamp && sums[i] < eps;
    w[i] = 1 / (clamp ? (floored ? eps : sums[i]) : sums[i] + eps);
    last[i] = floored ? T(0) : -w[i] * last[i];
  });
}

// Each row of products of features becomes its weights. A thread meets the same columns every time.
template <class T>
void divide_rows(Context& context, const Call<T>& c, T* products) {
  each_row(context, c.units * c.rows, c.columns, "linear_attention weights", [=] __device__(int64_t r) {
    T* row = products + r * c.columns;
    const int64_t n = c.visible(r / c.rows, r % c.rows);
    const T z = over_row<T>(n, Sum{}, [=](int64_t j) { return row[j]; }), floored = c.floored(z);
    for (int64_t j = threadIdx.x; j < c.columns; j += blockDim.x) row[j] = j < n ? row[j] / floored : T(0);
  });
}

// Everything of a call that lives on the GPU.
template <class T>
class Run {
 public:
  Run(const LinearAttention& op, const Tensor& q, const Tensor& k, const Tensor& v)
      : context_(q.context()), mask_(op.mask, context_), q_(q), k_(k), sizes_(seen_sizes(op, q, k)), extents_(extents(op, q, k)),
        projection_(op.form.projection ? op.form.projection.to(context_).to(q.dtype()) : Tensor()), transposed_(projection_ ? projection_.permute({1, 0}).compact() : Tensor()),
        rows_(lift(op, FeatureSide::query, q)), columns_(lift(op, FeatureSide::key, k)), queries_(lifted(rows_, q)), keys_(lifted(columns_, k)),
        call_{Heads<const T>(q), Heads<const T>(k), Heads<const T>(v), mask_.view(), queries_.template data<T>(), keys_.template data<T>(), sizes_.data<int64_t>(),
              sizes_.data<int64_t>() + q.size(0), q.size(1), q.size(0) * q.size(1), q.size(2), k.size(2), rows_.features, q.size(3), T(op.form.eps),
              op.form.floor == Floor::clamp} {}

  void forward(const Tensor& y, const Tensor& sums) const {
    const Tensor memory = states(Outer<T>{call_.q, nullptr, nullptr}, false);
    launch(context_, name, Blocks(call_.units * call_.row_tiles(), tiles(call_.D)), tile_threads, 0, forward_kernel<T>, call_, view(memory), Heads<T>(y),
           sums ? sums.data<T>() : nullptr);
  }

  void weights(const Tensor& w) const {
    all_scores<T>(queries_.reshape(q_.shape().with_last(call_.M)), keys_.reshape(k_.shape().with_last(call_.M)), w);
    divide_rows(context_, call_, w.data<T>());
  }

  void backward(const LinearAttention::Saved& kept, const Tensor& g, const Grads<3>& d) const {
    const Tensor w = context_.empty(kept.sums.shape(), g.dtype()), last = context_.empty(kept.sums.shape(), g.dtype());
    row_products<T>(g, kept.y, last);
    floor_slopes<T>(context_, kept.sums, w, last, call_.eps, call_.clamp);
    const Outer<T> o{Heads<const T>(g), w.data<T>(), last.data<T>()};
    if (d[0]) {
      const Tensor memory = states(o, false), dphi = context_.empty(queries_.shape(), g.dtype());
      launch(context_, name, Blocks(call_.units * call_.row_tiles(), tiles(call_.M)), tile_threads, 0, query_gradient_kernel<T>, call_, o, view(memory), dphi.data<T>());
      unlift(rows_, dphi, queries_, q_, d[0], call_.real);
    }
    if (!d[1] && !d[2]) return;
    const Tensor memory = states(o, true);
    const int64_t column_tiles = call_.units * call_.column_tiles();
    if (d[1]) {
      const Tensor dphi = context_.empty(keys_.shape(), g.dtype());
      launch(context_, name, Blocks(column_tiles, tiles(call_.M)), tile_threads, 0, key_gradient_kernel<T>, call_, o, view(memory), dphi.data<T>());
      unlift(columns_, dphi, keys_, k_, d[1], call_.seen);
    }
    if (d[2]) launch(context_, name, Blocks(column_tiles, tiles(call_.D)), tile_threads, 0, value_gradient_kernel<T>, call_, o, view(memory), Heads<T>(d[2]));
  }

 private:
  static constexpr std::string_view name = "linear_attention";
  static int64_t tiles(int64_t n) { return (n + Tile<T>::side - 1) / Tile<T>::side; }

  // Per item: rows within the target's length, then columns that any row sees.
  static Tensor seen_sizes(const LinearAttention& op, const Tensor& q, const Tensor& k) {
    const int64_t B = q.size(0), rows = q.size(2);
    std::vector<int64_t> sizes(size_t(2 * B));
    for (int64_t b = 0; b < B; ++b) {
      const int64_t real = op.mask.target_lengths.empty() ? rows : std::min<int64_t>(rows, op.mask.target_lengths[size_t(b)]);
      sizes[size_t(b)] = real, sizes[size_t(B + b)] = real > 0 ? op.mask.visible(b, real - 1, k.size(2)) : 0;
    }
    return upload(q.context(), sizes);
  }
  // Sources, then targets.
  static Tensor extents(const LinearAttention& op, const Tensor& q, const Tensor& k) {
    const int64_t B = q.size(0);
    std::vector<double> all(size_t(2 * B));
    for (int64_t b = 0; b < B; ++b) std::tie(all[size_t(b)], all[size_t(B + b)]) = extents_of(op, b, q.size(2), k.size(2));
    return upload(q.context(), all);
  }
  Lift<T> lift(const LinearAttention& op, FeatureSide side, const Tensor& x) const {
    const bool query = side == FeatureSide::query;
    return {op.form.map, side, x.size(3), feature_count(op.form.map, x.size(3), op.form.projection), x.size(1), query ? op.mask.first_row : 0, query ? T(op.form.scale) : T(1),
            extents_.data<double>() + (query ? x.size(0) : 0), projection_ ? projection_.template data<T>() : nullptr, transposed_ ? transposed_.template data<T>() : nullptr};
  }
  Tensor lifted(const Lift<T>& lift, const Tensor& x) const {
    const int64_t units = x.size(0) * x.size(1), rows = x.size(2);
    const Tensor phi = context_.empty(Shape{units, rows, lift.features}, x.dtype());
    launch(context_, name, blocks_for(units * rows, warps_of_block), dim3(warp, warps_of_block), 0, lift_kernel<T>, lift, Heads<const T>(x), phi.data<T>(), units, rows);
    return phi;
  }
  void unlift(const Lift<T>& lift, const Tensor& g, const Tensor& phi, const Tensor& x, const Tensor& dx, const int64_t* seen) const {
    const int64_t units = phi.size(0), rows = phi.size(1);
    launch(context_, name, blocks_for(units * rows, warps_of_block), dim3(warp, warps_of_block), 0, unlift_kernel<T>, lift, g.data<T>(), phi.data<T>(), Heads<const T>(x),
           Heads<T>(dx), seen, units, rows);
  }
  // The states of columns, from the left, or of rows, from the end.
  Tensor states(const Outer<T>& o, bool of_rows) const {
    const int64_t chunks = of_rows ? call_.row_tiles() : call_.column_tiles();
    const Tensor memory = context_.empty(Shape{call_.units, chunks + 1, call_.M, call_.D + 1}, queries_.dtype());
    const Blocks blocks(call_.units * chunks, tiles(call_.M) * tiles(call_.D + 1));
    launch(context_, name, blocks, tile_threads, 0, of_rows ? chunk_sums_kernel<T, true> : chunk_sums_kernel<T, false>, call_, o, view(memory));
    add_up(context_, view(memory), call_.units, of_rows);
    return memory;
  }
  static States<T> view(const Tensor& memory) { return {memory.data<T>(), memory.size(1) - 1, memory.size(2), memory.size(3)}; }

  Context& context_;
  const MaskOnDevice mask_;
  const Tensor q_, k_, sizes_, extents_, projection_, transposed_;
  const Lift<T> rows_, columns_;
  const Tensor queries_, keys_;
  const Call<T> call_;
};

}  // namespace

void linear_attention(const LinearAttention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y, const Tensor& sums) {
  with_float(q.dtype(), "linear_attention", [&]<class T>() { Run<T>(op, q, k, v).forward(y, sums); });
}

void linear_attention_backward(const LinearAttention& op, const LinearAttention::Saved& kept, const Tensor& g, const Grads<3>& d) {
  with_float(g.dtype(), "linear_attention", [&]<class T>() { Run<T>(op, kept.q, kept.k, kept.v).backward(kept, g, d); });
}

void linear_attention_weights(const LinearAttention& op, const Tensor& q, const Tensor& k, const Tensor& w) {
  with_float(q.dtype(), "linear_attention", [&]<class T>() { Run<T>(op, q, k, k).weights(w); });
}

}  // namespace alinea::cuda
