// What the two passes of structured attention share, per number type: the call, packed keys and values, the pieces of a tile.
#pragma once
#include "engine/blas/tile.h"
#include "engine/core/parallel.h"
#include "engine/ops/heads.h"
#include "engine/ops/softmax_tile.h"
#include "engine/ops/structured_core.h"
#include "engine/ops/structured_tile.h"
#include "engine/ops/structured_walk.h"

namespace alinea::structured {

inline constexpr int64_t slab_columns = 256;                 // a slab is taken in pieces of at most this many columns
inline constexpr int64_t few_units = 8;                      // with fewer heads than this the rows are split, whatever the number of threads

inline std::vector<int32_t> distinct_columns(const ColumnRuns& runs) {
  std::vector<int32_t> all;
  for (const ColumnRun& r : runs) all.insert(all.end(), r.columns.begin(), r.columns.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

// Everything that a part of the work needs to know about one call.
template <class T>
struct Call {
  const StructuredCall& in;
  const StructuredPattern& pattern;
  Heads<const T> q, k, v;
  int64_t B, H, T_, S, D, P;                                 // P: D in whole vectors
  bool scored;
  int64_t widest, parts, far_columns = 0, kept_columns = 0;  // far_columns: room for a tile's; kept_columns: room for an item's
  const T *band, *column, *residual;
  std::vector<std::vector<int32_t>> distinct;                // per item

  explicit Call(const StructuredCall& in)
      : in(in), pattern(in.pattern), q(in.q ? in.q : in.v), k(in.k ? in.k : in.v), v(in.v), B(in.v.size(0)), H(in.v.size(1)), T_(in.rows), S(in.v.size(2)),
        D(in.v.size(3)), P(whole_vectors<T>(D)), scored(bool(in.q)), widest(pattern.widest()), band(in.band ? in.band.data<T>() : nullptr),
        column(in.column ? in.column.data<T>() : nullptr), residual(in.residual ? in.residual.data<T>() : nullptr) {
    parts = units() >= few_units ? 1 : std::clamp<int64_t>(T_ / 256, 1, few_units / std::max<int64_t>(1, units()));
    int64_t longest = 0;
    for (const ColumnRuns& runs : pattern.columns) {
      distinct.push_back(distinct_columns(runs));
      kept_columns = std::max(kept_columns, int64_t(distinct.back().size()));
      for (const ColumnRun& r : runs) longest = std::max(longest, int64_t(r.columns.size()));
    }
    far_columns = std::min(kept_columns, longest * 2 + StructuredWalk::most);
  }
  int64_t units() const { return B * H; }
  int64_t tasks() const { return units() * parts; }
  int64_t part_begin(int64_t part) const { return T_ * part / parts / 64 * 64; }
  int64_t part_end(int64_t part) const { return part + 1 == parts ? T_ : part_begin(part + 1); }
  // Tasks that are worth a thread: below some 200 000 multiply-adds waking one costs more than it saves.
  int64_t grain() const {
    const double width = std::min(double(S), 2.0 * double(widest) + 33 + double(far_columns));
    return std::max<int64_t>(1, int64_t(2e5 * double(parts) / std::max(1.0, double(T_) * width * double(D))));
  }
  const std::vector<int32_t>& columns_of(int64_t unit) const {
    static const std::vector<int32_t> none;
    return distinct.empty() ? none : distinct[size_t(unit / H)];
  }
  const std::vector<ResidualEntry>* entries(int64_t unit) const { return residual ? &in.entries[size_t(unit % H)] : nullptr; }
  // Keys that a part may touch outside its far columns, from a whole vector on: slabs begin at one.
  StructuredPattern::Interval reach(int64_t unit, int64_t part) const {
    if (pattern.head(unit % H).random_keys > 0 || residual) return {0, S};
    const auto r = StructuredWalk::reach(pattern, unit % H, S, part_begin(part), part_end(part));
    return {r.begin / lanes<T> * lanes<T>, r.end};
  }
  int64_t longest_reach() const {
    int64_t longest = 0;
    for (int64_t task = 0; task < tasks(); ++task) longest = std::max(longest, reach(task / parts, task % parts).size());
    return longest;
  }
  // Keys that a window over the slabs of a head holds, in whole panels: a slab and some more, so that the window seldom starts anew.
  int64_t room(int64_t head, int64_t reached) const {
    constexpr int64_t more = 512, w = panel_width<T>;
    const int64_t all = reached + 2 * w, some = pattern.head(head).global_rows.empty() ? StructuredWalk::longest_slab(pattern.head(head)) + 2 * w + more : all;
    return (std::min(all, some) + w - 1) / w * w;
  }
  int64_t largest_room(int64_t reached) const {
    int64_t largest = 0;
    for (int64_t h = 0; h < H; ++h) largest = std::max(largest, room(h, reached));
    return largest;
  }
  DropoutTile dropout_tile(int64_t unit, int64_t row, int64_t column) const { return {in.key, in.dropout, unit * T_ + row, column, (S + 3) / 4}; }
  // The factor of one weight: the same number that a whole row of factors has there.
  T factor(int64_t unit, int64_t row, int64_t column) const {
    const auto threshold = uint32_t(std::min(in.dropout * 0x1p32, 0x1.fffffffep31));
    const auto block = in.key.block(uint64_t((unit * T_ + row) * ((S + 3) / 4) + column / 4));
    return block[size_t(column % 4)] < threshold ? T(0) : T(1 / (1 - in.dropout));
  }
};

// Scratch memory of one thread, one block after the other; without memory it only counts.
template <class T>
class Scratch {
 public:
  explicit Scratch(T* at) : at_(at) {}
  T* take(int64_t n) {
    T* p = at_ ? at_ + used : nullptr;
    used += whole_vectors<T>(n);
    return p;
  }
  int64_t used = 0;

 private:
  T* at_;
};

// Keys or values around the current slab, packed: transposed in panels, and as rows. The window moves on with the slabs, so that it stays in cache.
template <class T>
struct Packed {
  Heads<const T> from;
  int64_t unit, stop, D, P, room, base, done;                // columns base … done−1 are packed, of at most `room`
  T *transposed, *rows;

  Packed(const Heads<const T>& from, int64_t unit, StructuredPattern::Interval reach, int64_t D, int64_t P, int64_t room, T* transposed, T* rows)
      : from(from), unit(unit), stop(reach.end), D(D), P(P), room(room), base(0), done(0), transposed(transposed), rows(rows) {}

  void cover(int64_t first, int64_t end) {
    constexpr int64_t w = panel_width<T>;
    if (first < base || first > done || end - base > room) base = done = first / w * w;
    end = std::min(stop, base + (end - base + w - 1) / w * w);
    if (end <= done) return;
    const int64_t from_panel = base + (done - base) / w * w;  // a panel that was part full is packed again
    if (transposed) pack_transposed(from.at(unit, from_panel), from.row, end - from_panel, D, transposed + (from_panel - base) * D);
    if (rows) pack_rows(from.at(unit, done), from.row, end - done, D, T(1), rows + (done - base) * P);
    done = end;
  }
  // to [rows, whole] = a · (columns from j on); j lies on a whole vector.
  void product(int64_t count, int64_t whole, const T* a, int64_t j, T* to, int64_t ld) const {
    constexpr int64_t w = panel_width<T>;
    const int64_t offset = j - base, inside = offset % w, head = inside ? std::min(whole, w - inside) : 0;
    if (head) tile_product<T>({count, head, D, a, P, 1, transposed + offset / w * (w * D) + inside, w, w * D, to, ld, false});
    if (whole > head) tile_product<T>({count, whole - head, D, a, P, 1, transposed + (offset + head) / w * (w * D), w, w * D, to + head, ld, false});
  }
  const T* row(int64_t j) const { return rows + (j - base) * P; }
};

// The far columns of a tile, gathered: as rows, and transposed from there.
template <class T>
void gather(const Heads<const T>& from, int64_t unit, const std::vector<int32_t>& columns, int64_t D, int64_t P, T* transposed, T* rows) {
  const auto n = int64_t(columns.size());
  for (int64_t c = 0; c < n; ++c) pack_rows(from.at(unit, columns[size_t(c)]), from.row, 1, D, T(1), rows + c * P);
  if (transposed) pack_transposed(rows, P, n, D, transposed);
}
template <class T>
constexpr int64_t gathered_columns(int64_t n) { return (n + panel_width<T> - 1) / panel_width<T> * panel_width<T> + 4; }

template <class T>
void pack_tile_rows(const Heads<const T>& from, int64_t unit, const StructuredWalk& w, int64_t D, int64_t P, T factor, T* to) {
  if (w.consecutive()) return pack_rows(from.at(unit, w.row[0]), from.row, w.rows, D, factor, to);
  for (int64_t r = 0; r < w.rows; ++r) pack_rows(from.at(unit, w.row[r]), from.row, 1, D, factor, to + r * P);
}

// One piece of a tile's slab, and beside the first piece the far columns.
template <class T>
struct Piece {
  int64_t column, columns, near, far;                        // near and far: whole vectors
  int64_t begin[StructuredWalk::most], end[StructuredWalk::most];
  int64_t band_begin[StructuredWalk::most], band_end[StructuredWalk::most], at[StructuredWalk::most];

  // Columns column … of the slab; `half_width` bounds where the bias lies, `centre` is the index of its diagonal.
  Piece(const StructuredWalk& w, int64_t column, bool with_far, int64_t half_width, int64_t centre) : column(column) {
    columns = std::clamp<int64_t>(w.last - column, 0, slab_columns), near = whole_vectors<T>(columns);
    far = with_far ? whole_vectors<T>(int64_t(w.far.size())) : 0;
    for (int64_t r = 0; r < w.rows; ++r) {
      begin[r] = std::clamp<int64_t>(w.begin[r] - column, 0, columns), end[r] = std::clamp<int64_t>(w.end[r] - column, begin[r], columns);
      const int64_t i = w.position(r);
      band_begin[r] = std::clamp(i - half_width - column, begin[r], end[r]), band_end[r] = std::clamp(i + half_width + 1 - column, band_begin[r], end[r]);
      at[r] = centre + column - i;
    }
  }
};

// What forward and backward do alike: scores with their biases, what is seen, dropout.
template <class T>
struct Tiles {
  const Call<T>& c;
  int64_t unit, head, ld, half_width;
  T *scores, *factors, *seen;
  StructuredWalk walk;

  Tiles(const Call<T>& c, int64_t unit, int64_t part, Scratch<T>& scratch)
      : c(c), unit(unit), head(unit % c.H), ld(slab_columns + whole_vectors<T>(c.far_columns)), half_width(c.pattern.head(head).half_width),
        scores(scratch.take(StructuredWalk::most * ld)), factors(c.in.dropout > 0 ? scratch.take(StructuredWalk::most * ld) : nullptr),
        seen(scratch.take(StructuredWalk::most * whole_vectors<T>(c.far_columns))), walk(c.pattern, unit / c.H, head, c.S, c.part_begin(part), c.part_end(part)) {}

  int64_t first_column() const { return walk.first / lanes<T> * lanes<T>; }
  Piece<T> piece(int64_t column) const { return Piece<T>(walk, column, column == first_column(), half_width, c.widest); }

  StructuredTile<T> tile(const Piece<T>& p) const { return {walk.rows, p.near, p.far, p.begin, p.end, seen, scores, factors, ld}; }
  DiagonalBias<T> diagonals(const Piece<T>& p) const { return {walk.rows, p.band_begin, p.band_end, p.at, ld}; }

  // queries [rows, P] are scaled.
  void fill_scores(const Piece<T>& p, const T* queries, const Packed<T>& keys, const T* far_keys) {
    const int64_t count = whole_fours(walk.rows);
    if (!c.scored) {
      for (int64_t r = 0; r < count; ++r) std::fill(scores + r * ld, scores + r * ld + p.near + p.far, T(0));
    } else {
      if (p.near) keys.product(count, p.near, queries, p.column, scores, ld);
      if (p.far) tile_product<T>({count, p.far, c.D, queries, c.P, 1, far_keys, panel_width<T>, panel_width<T> * c.D, scores + p.near, ld, false});
    }
    if (c.band) add_diagonals(diagonals(p), c.band + head * (2 * c.widest + 1), scores);
    if (c.column && p.far)
      for (int64_t r = 0; r < walk.rows; ++r)
        for (int64_t x = p.near; x < p.near + p.far; ++x) scores[r * ld + x] += c.column[head];
    if (p.far) walk.fill_seen(seen, p.far);
    if (factors) fill_dropout(p);
  }
  void fill_dropout(const Piece<T>& p) {
    for (int64_t r = 0; r < walk.rows; ++r) {
      if (p.near) fill_factors(c.dropout_tile(unit, walk.row[r], p.column), 1, p.near, factors + r * ld, ld);
      for (int64_t x = 0; x < p.far; ++x)
        factors[r * ld + p.near + x] = seen[r * p.far + x] != 0 ? c.factor(unit, walk.row[r], walk.far[size_t(x)]) : T(0);
    }
  }
  // The random keys of row r of the tile, with their dropout; valid until the next call.
  SingleKeys<T> single(int64_t r, const T* queries) {
    c.pattern.random_keys(unit / c.H, head, walk.row[r], {walk.begin[r], walk.end[r]}, c.S, random_);
    random_factors_.clear();
    if (factors)
      for (const int32_t j : random_) random_factors_.push_back(c.factor(unit, walk.row[r], j));
    return {int64_t(random_.size()), random_.data(), factors ? random_factors_.data() : nullptr, c.scored ? queries + r * c.P : nullptr, c.k.at(unit), c.k.row,
            c.v.at(unit), c.v.row, c.D};
  }
  // f(entry) for the residual's entries of row r of the tile.
  template <class F>
  void each_entry(int64_t r, F&& f) const {
    const auto* entries = c.entries(unit);
    if (!entries) return;
    const int64_t i = walk.position(r), visible = walk.visible[r];
    auto e = std::lower_bound(entries->begin(), entries->end(), i, [](const ResidualEntry& e, int64_t i) { return e.row < i; });
    for (; e != entries->end() && e->row == i; ++e)
      if (e->column < visible) f(*e);
  }

 private:
  std::vector<int32_t> random_;
  std::vector<T> random_factors_;
};

}  // namespace alinea::structured
