#include "engine/core/device.h"
#include "engine/ops/cuda_attention_kernels.h"
#include "engine/ops/structured_pass.h"

namespace alinea {

namespace structured {

namespace {

// Gradients of keys, added up while the slabs move on. Rows first … are kept; those before are final. Of `room` rows.
template <class T>
struct Accumulated {
  int64_t base, filled, room, P;                             // rows base … filled−1 are there
  T* data;

  T* at(int64_t j) const { return data + (j - base) * P; }
  void cover(int64_t first, int64_t end) {
    if (end - base > room) {
      std::copy(at(first), at(std::max(first, filled)), data);
      base = first, filled = std::max(first, filled);
    }
    if (end > filled) std::fill(at(filled), at(end + 4), T(0)), filled = end;   // products are written in fours
  }
};

// Gradients of one part of one head's rows. Keys outside `reach` are touched as far columns alone; those have their own rows.
template <class T>
struct Part {
  StructuredPattern::Interval reach;
  bool moving;                                               // keys before the slab are final: a window of keys is enough
  Accumulated<T> dk, dv;
  T *far_dk, *far_dv;                                        // [distinct columns of the item, P]
  T *band, *column, *residual;                               // in the bias's own layout for this head

  // A head whose keys are all final behind the slab, and whose gradients need no adding up over parts.
  static bool moves(const Call<T>& c, int64_t head) {
    const HeadPattern& p = c.pattern.head(head);
    return c.parts == 1 && p.global_rows.empty() && p.random_keys == 0 && !c.residual;
  }
  static int64_t rows(const Call<T>& c, int64_t head, int64_t reached) { return moves(c, head) ? std::min(reached, c.room(head, reached)) : reached; }
  static int64_t size(const Call<T>& c, int64_t longest) {
    int64_t most = 0;
    for (int64_t h = 0; h < c.H; ++h) most = std::max(most, rows(c, h, longest));
    return 2 * (most + 8 + c.kept_columns) * c.P + 8 * lanes<T>;
  }
  static int64_t small_size(const Call<T>& c) { return 2 * c.widest + 2 + (c.residual ? c.in.residual.size(1) : 0); }

  Part(const Call<T>& c, int64_t unit, StructuredPattern::Interval reach, T* memory, T* small) : reach(reach), moving(moves(c, unit % c.H)) {
    Scratch<T> s(memory);
    const int64_t n = rows(c, unit % c.H, reach.size());
    dk = {reach.begin, reach.begin, n, c.P, s.take((n + 8) * c.P)}, dv = {reach.begin, reach.begin, n, c.P, s.take((n + 8) * c.P)};
    far_dk = s.take(c.kept_columns * c.P), far_dv = s.take(c.kept_columns * c.P);
    band = small, column = small + 2 * c.widest + 1, residual = column + 1;
  }
  void clear(const Call<T>& c) {
    std::fill(far_dk, far_dk + c.kept_columns * c.P, T(0)), std::fill(far_dv, far_dv + c.kept_columns * c.P, T(0));
    std::fill(band, band + small_size(c), T(0));
    if (!moving) cover(reach.begin, reach.end);
  }
  void cover(int64_t first, int64_t end) { dk.cover(first, end), dv.cover(first, end); }
};

template <class T>
class Backward {
 public:
  Backward(const Call<T>& c, int64_t unit, int64_t part, Scratch<T> scratch, Part<T>& d, const StructuredWants& wants)
      : c_(c), unit_(unit), d_(d), wants_(wants), t_(c, unit, part, scratch), w_(t_.walk), slopes_(scratch.take(StructuredWalk::most * t_.ld)),
        room_(c.room(unit % c.H, d.reach.size())),
        keys_(c.k, unit, d.reach, c.D, c.P, room_, c.scored ? scratch.take(room_ * c.P) : nullptr, c.scored ? scratch.take((room_ + 4) * c.P) : nullptr),
        values_(c.v, unit, d.reach, c.D, c.P, room_, scratch.take(room_ * c.P), nullptr) {
    const int64_t gathered = gathered_columns<T>(c.far_columns), tile = StructuredWalk::most + 4;
    for (T** p : {&far_keys_t_, &far_keys_, &far_values_t_, &far_values_, &far_dk_, &far_dv_}) *p = scratch.take(gathered * c.P);
    for (T** p : {&queries_, &outer_, &dq_}) *p = scratch.take(tile * c.P);
  }
  static int64_t scratch_size(const Call<T>& c, int64_t longest) {
    const int64_t room = c.largest_room(longest), gathered = gathered_columns<T>(c.far_columns), ld = slab_columns + whole_vectors<T>(c.far_columns);
    return (3 * room + 4 + 6 * gathered + 3 * (StructuredWalk::most + 4)) * c.P + 4 * StructuredWalk::most * ld + 16 * lanes<T>;
  }

  /// final(j): the gradients of keys before j in d.dk and d.dv are final, and those of the calls before may be gone.
  template <class F>
  void run(const Heads<const T>& g, const Heads<const T>& y, const T* log_sum, const Heads<T>& dq, F&& final) {
    while (t_.walk.next()) {
      keys_.cover(w_.first, w_.last), values_.cover(w_.first, w_.last);
      if (d_.moving && w_.last > 0) final(t_.first_column()), d_.cover(t_.first_column(), w_.last);
      if (w_.far_changed) flush(), gather_columns();
      if (c_.scored) pack_tile_rows(c_.q, unit_, w_, c_.D, c_.P, T(c_.in.scale), queries_);
      pack_tile_rows(g, unit_, w_, c_.D, c_.P, T(1), outer_);
      std::fill(dq_, dq_ + whole_fours(w_.rows) * c_.P, T(0));
      for (int64_t r = 0; r < w_.rows; ++r) {
        log_sum_[r] = log_sum[unit_ * c_.T_ + w_.row[r]];
        delta_[r] = dot(outer_ + r * c_.P, y.at(unit_, w_.row[r]), c_.D);
        residual_slopes(r);
      }
      for (int64_t j = t_.first_column(); j == t_.first_column() || j < w_.last; j += slab_columns) piece(t_.piece(j));
      if (c_.pattern.head(t_.head).random_keys > 0) random_keys();
      if (!wants_.q) continue;
      for (int64_t r = 0; r < w_.rows; ++r) scale_rows(dq_ + r * c_.P, c_.P, 1, c_.D, T(c_.in.scale), dq.at(unit_, w_.row[r]), dq.row);
    }
    flush();
    final(d_.reach.end);
  }

 private:

  void gather_columns() {
    if (c_.scored) gather(c_.k, unit_, w_.far, c_.D, c_.P, far_keys_t_, far_keys_);
    gather(c_.v, unit_, w_.far, c_.D, c_.P, far_values_t_, far_values_);
    gathered_ = w_.far;
    const auto n = whole_fours(int64_t(gathered_.size())) * c_.P;
    std::fill(far_dk_, far_dk_ + n, T(0)), std::fill(far_dv_, far_dv_ + n, T(0));
  }
  // Gradients of the gathered columns to their rows among the item's columns.
  void flush() {
    const auto& all = c_.columns_of(unit_);
    for (size_t c = 0; c < gathered_.size(); ++c) {
      const int64_t to = std::lower_bound(all.begin(), all.end(), gathered_[c]) - all.begin();
      add_rows(far_dk_ + int64_t(c) * c_.P, c_.P, 1, c_.P, T(1), d_.far_dk + to * c_.P, c_.P);
      add_rows(far_dv_ + int64_t(c) * c_.P, c_.P, 1, c_.P, T(1), d_.far_dv + to * c_.P, c_.P);
    }
    gathered_.clear();
  }

  // y holds E v besides P v, and δ_i = g_i·(P v)_i.
  void residual_slopes(int64_t r) {
    t_.each_entry(r, [&](const ResidualEntry& e) {
      const T value = c_.residual[t_.head * c_.in.residual.size(1) + e.index], slope = dot(outer_ + r * c_.P, c_.v.at(unit_, e.column), c_.D);
      delta_[r] -= value * slope;
      d_.residual[e.index] += slope;
      add_rows(outer_ + r * c_.P, c_.P, 1, c_.D, value, d_.dv.at(e.column), c_.P);
    });
  }

  void piece(const Piece<T>& p) {
    const int64_t count = whole_fours(w_.rows), P = c_.P, ld = t_.ld, far = int64_t(w_.far.size());
    t_.fill_scores(p, queries_, keys_, far_keys_t_);
    if (p.near) values_.product(count, p.near, outer_, p.column, slopes_, ld);
    if (p.far) tile_product<T>({count, p.far, c_.D, outer_, P, 1, far_values_t_, panel_width<T>, panel_width<T> * c_.D, slopes_ + p.near, ld, false});
    structured_slopes(t_.tile(p), log_sum_, delta_, slopes_);
    if (wants_.band) sum_diagonals(t_.diagonals(p), slopes_, d_.band);
    if (wants_.column)
      for (int64_t r = 0; r < w_.rows; ++r)
        for (int64_t x = p.near; x < p.near + p.far; ++x) *d_.column += slopes_[r * ld + x];
    const T *weights = t_.scores, *far_weights = weights + p.near, *far_slopes = slopes_ + p.near;
    if (p.columns) {
      const int64_t columns = whole_fours(p.columns);        // those past the last have slopes and weights of 0
      if (wants_.v) tile_product<T>({columns, P, w_.rows, weights, 1, ld, outer_, P, panel_width<T>, d_.dv.at(p.column), P, true});
      if (wants_.k) tile_product<T>({columns, P, w_.rows, slopes_, 1, ld, queries_, P, panel_width<T>, d_.dk.at(p.column), P, true});
      if (wants_.q) tile_product<T>({count, P, p.columns, slopes_, ld, 1, keys_.row(p.column), P, panel_width<T>, dq_, P, true});
    }
    if (!p.far) return;
    if (wants_.v) tile_product<T>({whole_fours(far), P, w_.rows, far_weights, 1, ld, outer_, P, panel_width<T>, far_dv_, P, true});
    if (wants_.k) tile_product<T>({whole_fours(far), P, w_.rows, far_slopes, 1, ld, queries_, P, panel_width<T>, far_dk_, P, true});
    if (wants_.q) tile_product<T>({count, P, far, far_slopes, ld, 1, far_keys_, P, panel_width<T>, dq_, P, true});
  }

  void random_keys() {
    for (int64_t r = 0; r < w_.rows; ++r)
      single_slopes(t_.single(r, queries_), outer_ + r * c_.P, log_sum_[r], delta_[r], dq_ + r * c_.P, d_.dk.at(0), d_.dv.at(0), c_.P);
  }

  const Call<T>& c_;
  const int64_t unit_;
  Part<T>& d_;
  const StructuredWants& wants_;
  Tiles<T> t_;
  const StructuredWalk& w_;
  T* slopes_;
  const int64_t room_;
  Packed<T> keys_, values_;
  T *far_keys_t_, *far_keys_, *far_values_t_, *far_values_, *far_dk_, *far_dv_, *queries_, *outer_, *dq_;
  T log_sum_[StructuredWalk::most], delta_[StructuredWalk::most];
  std::vector<int32_t> gathered_;
};

// to[j] for keys begin … end−1 of one head: the sum of the parts in their order. Reaches begin in ascending order.
template <class T>
void collect_near(const Call<T>& c, int64_t unit, std::span<const Part<T>> parts, Accumulated<T> Part<T>::*near, int64_t begin, int64_t end, const Heads<T>& to) {
  int64_t written = begin;
  for (const Part<T>& p : parts) {
    const Accumulated<T>& from = p.*near;
    const int64_t b = std::clamp(p.reach.begin, begin, end), e = std::clamp(std::min(p.reach.end, from.filled), b, end), both = std::clamp(written, b, e);
    for (; written < b; ++written) std::fill_n(to.at(unit, written), c.D, T(0));
    if (both > b) add_rows(from.at(b), c.P, both - b, c.D, T(1), to.at(unit, b), to.row);
    if (e > both) scale_rows(from.at(both), c.P, e - both, c.D, T(1), to.at(unit, both), to.row);
    written = std::max(written, e);
  }
  for (; written < end; ++written) std::fill_n(to.at(unit, written), c.D, T(0));
}
// Then the far columns, again in the order of the parts.
template <class T>
void collect_far(const Call<T>& c, int64_t unit, std::span<const Part<T>> parts, T* Part<T>::*far, int64_t begin, int64_t end, const Heads<T>& to) {
  const auto& columns = c.columns_of(unit);
  const auto first = std::lower_bound(columns.begin(), columns.end(), begin), last = std::lower_bound(first, columns.end(), end);
  for (const Part<T>& p : parts)
    for (auto column = first; column != last; ++column)
      add_rows(p.*far + (column - columns.begin()) * c.P, c.P, 1, c.D, T(1), to.at(unit, *column), to.row);
}

// Σ over items and parts of the small gradients, which lie [B, H, parts, size] at `from`.
template <class T>
Tensor sum_small(const Call<T>& c, const Tensor& small, int64_t from, int64_t width, const Shape& shape) {
  const Tensor sum = small.context().zeros(shape, small.dtype());
  const int64_t size = Part<T>::small_size(c);
  for (int64_t task = 0; task < c.tasks(); ++task) {
    const T* x = small.data<T>() + task * size + from;
    T* to = sum.data<T>() + task / c.parts % c.H * width;
    for (int64_t i = 0; i < width; ++i) to[i] += x[i];
  }
  return sum;
}

template <class T>
StructuredGradients run_backward(const Call<T>& c, const Tensor& y, const Tensor& log_sum, const Tensor& g, const StructuredWants& wants) {
  Context& context = g.context();
  StructuredGradients d;
  if (wants.q) d.q = empty_heads(c.in.q);
  if (wants.k) d.k = empty_heads(c.in.k);
  if (wants.v) d.v = empty_heads(c.in.v);
  const Heads<const T> outer(g), out(y);
  const int64_t longest = c.longest_reach();
  const int count = threads_for(c.tasks(), c.grain());
  const int64_t scratch = Backward<T>::scratch_size(c, longest), size = Part<T>::size(c, longest), small_size = Part<T>::small_size(c);
  const bool whole = c.parts == 1;                           // a head's gradients are collected at once: one buffer for each thread is enough
  const Tensor memory = context.empty(Shape{count, scratch}, g.dtype()), buffers = context.empty(Shape{whole ? count : c.tasks(), size}, g.dtype());
  const Tensor small = context.empty(Shape{c.tasks(), small_size}, g.dtype());
  auto part = [&](int64_t task, int64_t slot) {
    return Part<T>(c, task / c.parts, c.reach(task / c.parts, task % c.parts), buffers.data<T>() + slot * size, small.data<T>() + task * small_size);
  };
  auto near = [&](int64_t unit, std::span<const Part<T>> parts, int64_t begin, int64_t end) {
    if (wants.k) collect_near(c, unit, parts, &Part<T>::dk, begin, end, Heads<T>(d.k));
    if (wants.v) collect_near(c, unit, parts, &Part<T>::dv, begin, end, Heads<T>(d.v));
  };
  auto far = [&](int64_t unit, std::span<const Part<T>> parts, int64_t begin, int64_t end) {
    if (wants.k) collect_far(c, unit, parts, &Part<T>::far_dk, begin, end, Heads<T>(d.k));
    if (wants.v) collect_far(c, unit, parts, &Part<T>::far_dv, begin, end, Heads<T>(d.v));
  };
  parallel_for(count, 1, [&](int64_t first, int64_t last) {
    for (int64_t worker = first; worker < last; ++worker)
      for (int64_t task = c.tasks() * worker / count; task < c.tasks() * (worker + 1) / count; ++task) {
        Part<T> own = part(task, whole ? worker : task);
        own.clear(c);
        int64_t collected = 0;
        Backward<T>(c, task / c.parts, task % c.parts, Scratch<T>(memory.data<T>() + worker * scratch), own, wants)
            .run(outer, out, log_sum.data<T>(), Heads<T>(wants.q ? d.q : y), [&](int64_t end) {
              if (whole && end > collected) near(task, {&own, 1}, collected, end), collected = end;
            });
        if (whole) near(task, {&own, 1}, collected, c.S), far(task, {&own, 1}, 0, c.S);
      }
  });
  if (!whole) {
    constexpr int64_t block = 1024;
    const int64_t blocks = (c.S + block - 1) / block;
    parallel_for(c.units() * blocks, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t unit = i / blocks, begin = i % blocks * block, end = std::min(c.S, begin + block);
        std::vector<Part<T>> parts;
        for (int64_t p = 0; p < c.parts; ++p) {
          const int64_t task = unit * c.parts + p;
          parts.push_back(part(task, task));
          parts.back().dk.filled = parts.back().dv.filled = parts.back().reach.end;
        }
        near(unit, parts, begin, end), far(unit, parts, begin, end);
      }
    });
  }
  const int64_t band = 2 * c.widest + 1;
  if (wants.band) d.band = sum_small(c, small, 0, band, c.in.band.shape());
  if (wants.column) d.column = sum_small(c, small, band, 1, c.in.column.shape());
  if (wants.residual) d.residual = sum_small(c, small, band + 1, c.in.residual.size(1), c.in.residual.shape());
  return d;
}

}  // namespace

}  // namespace structured

StructuredGradients structured_backward(const StructuredCall& call, const Tensor& y, const Tensor& log_sum, const Tensor& g, const StructuredWants& wants) {
  StructuredGradients d;
  auto on_cpu = [&] { with_float(g.dtype(), "structured_attention", [&]<class T>() { d = structured::run_backward(structured::Call<T>(call), y, log_sum, g, wants); }); };
  on_device(g, on_cpu, [&] { d = cuda::structured_backward(call, y, log_sum, g, wants); });
  return d;
}

}  // namespace alinea
