#include <limits>

#include "engine/core/device.h"
#include "engine/ops/cuda_attention_kernels.h"
#include "engine/ops/structured_pass.h"

namespace alinea {

namespace structured {

namespace {

template <class T>
void forward_part(const Call<T>& c, int64_t unit, int64_t part, Scratch<T> scratch, const Heads<T>& y, T* log_sum) {
  const StructuredPattern::Interval reach = c.reach(unit, part);
  const int64_t P = c.P, room = c.room(unit % c.H, reach.size()), gathered = gathered_columns<T>(c.far_columns);
  Tiles<T> t(c, unit, part, scratch);
  const StructuredWalk& w = t.walk;
  Packed<T> keys(c.k, unit, reach, c.D, P, room, c.scored ? scratch.take(room * P) : nullptr, nullptr);
  Packed<T> values(c.v, unit, reach, c.D, P, room, nullptr, scratch.take((room + 4) * P));
  T* far_keys = scratch.take(gathered * P);
  T* far_values = scratch.take(gathered * P);
  T* queries = scratch.take((w.most + 4) * P);
  T* sums = scratch.take((w.most + 4) * P);
  T most[StructuredWalk::most], total[StructuredWalk::most];
  while (t.walk.next()) {
    keys.cover(w.first, w.last), values.cover(w.first, w.last);
    if (w.far_changed) {
      if (c.scored) gather(c.k, unit, w.far, c.D, P, far_keys, far_values);   // the rows are overwritten by the values
      gather<T>(c.v, unit, w.far, c.D, P, nullptr, far_values);
    }
    if (c.scored) pack_tile_rows(c.q, unit, w, c.D, P, T(c.in.scale), queries);
    std::fill(sums, sums + whole_fours(w.rows) * P, T(0));
    std::fill(most, most + w.rows, -std::numeric_limits<T>::infinity());
    std::fill(total, total + w.rows, T(0));
    for (int64_t j = t.first_column(); j == t.first_column() || j < w.last; j += slab_columns) {
      const Piece<T> p = t.piece(j);
      t.fill_scores(p, queries, keys, far_keys);
      structured_online(t.tile(p), most, total, sums, P);
      const int64_t count = whole_fours(w.rows);
      if (p.columns) tile_product<T>({count, P, p.columns, t.scores, t.ld, 1, values.row(j), P, panel_width<T>, sums, P, true});
      if (p.far) tile_product<T>({count, P, int64_t(w.far.size()), t.scores + p.near, t.ld, 1, far_values, P, panel_width<T>, sums, P, true});
    }
    for (int64_t r = 0; r < w.rows; ++r) {
      if (c.pattern.head(t.head).random_keys > 0) single_online(t.single(r, queries), most + r, total + r, sums + r * P);
      T* out = y.at(unit, w.row[r]);
      scale_rows(sums + r * P, P, 1, c.D, total[r] != 0 ? 1 / total[r] : T(0), out, y.row);
      t.each_entry(r, [&](const ResidualEntry& e) {
        add_rows(c.v.at(unit, e.column), c.v.row, 1, c.D, c.residual[t.head * c.in.residual.size(1) + e.index], out, y.row);
      });
      if (log_sum) log_sum[unit * c.T_ + w.row[r]] = total[r] != 0 ? most[r] + std::log(total[r]) : T(0);
    }
  }
}

template <class T>
int64_t forward_scratch(const Call<T>& c, int64_t longest) {
  const int64_t room = c.largest_room(longest), gathered = gathered_columns<T>(c.far_columns), ld = slab_columns + whole_vectors<T>(c.far_columns);
  return (2 * room + 4 + 2 * gathered + 2 * (StructuredWalk::most + 4)) * c.P + 3 * StructuredWalk::most * ld + 8 * lanes<T>;
}

template <class T>
void run_forward(const Call<T>& c, const Tensor& y, const Tensor& log_sum) {
  const Heads<T> out(y);
  T* sums = log_sum ? log_sum.data<T>() : nullptr;
  const int count = threads_for(c.tasks(), c.grain());
  const int64_t size = forward_scratch(c, c.longest_reach());
  const Tensor memory = y.context().empty(Shape{count, size}, y.dtype());
  parallel_for(count, 1, [&](int64_t first, int64_t last) {
    for (int64_t worker = first; worker < last; ++worker)
      for (int64_t task = c.tasks() * worker / count; task < c.tasks() * (worker + 1) / count; ++task)
        forward_part(c, task / c.parts, task % c.parts, Scratch<T>(memory.data<T>() + worker * size), out, sums);
  });
}

}  // namespace

}  // namespace structured

void structured_forward(const StructuredCall& call, const Tensor& y, const Tensor& log_sum) {
  auto on_cpu = [&] { with_float(y.dtype(), "structured_attention", [&]<class T>() { structured::run_forward(structured::Call<T>(call), y, log_sum); }); };
  on_device(y, on_cpu, [&] { cuda::structured_forward(call, y, log_sum); });
}

}  // namespace alinea
