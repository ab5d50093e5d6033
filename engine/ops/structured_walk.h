// Rows of one head in tiles: which keys a tile reads as one slab, and which far columns it gathers.
#pragma once
#include "engine/ops/structured_pattern.h"

namespace alinea {

/// Tiles of up to `most` rows: consecutive rows first, without the global ones, then the global rows together. Every tile depends on the
/// pattern and on rows begin … end−1 alone.
class StructuredWalk {
 public:
  static constexpr int64_t most = 64;

  StructuredWalk(const StructuredPattern& pattern, int64_t item, int64_t head, int64_t S, int64_t begin, int64_t end);
  /// To the next tile; false after the last.
  bool next();

  // The tile.
  int64_t rows = 0;
  int64_t row[most], begin[most], end[most], visible[most];  // begin … end−1: near
  int64_t first = 0, last = 0;                               // the slab: near columns of all rows lie in first … last−1
  std::vector<int32_t> far;                                  // columns of all rows, ascending
  bool far_changed = false;                                  // against the tile before
  bool consecutive() const { return row[rows - 1] - row[0] == rows - 1; }
  int64_t position(int64_t r) const { return pattern_.mask.first_row + row[r]; }

  /// seen[r, c] = 1 where row r of the tile reads far column c, else 0; rows lie ld ≥ far.size() apart and are filled to ld.
  template <class T>
  void fill_seen(T* seen, int64_t ld) const;

  /// Keys that the slabs of rows begin … end−1 may hold.
  static StructuredPattern::Interval reach(const StructuredPattern& pattern, int64_t head, int64_t S, int64_t begin, int64_t end);
  /// Keys in the slab of a tile without global rows, at most.
  static int64_t longest_slab(const HeadPattern& p);
  /// Rows of a tile: narrow bands waste less of their slab on shorter tiles.
  static int64_t tile_rows(const HeadPattern& p) { return 2 * p.half_width < 128 && p.block_ends.empty() ? 32 : most; }

 private:
  void gather();

  const StructuredPattern& pattern_;
  const int64_t item_, head_, S_, stop_, tile_;
  int64_t at_;
  size_t next_global_ = 0;
  std::vector<int64_t> globals_;
  std::vector<int32_t> before_;
  bool single_run_ = true;
};

}  // namespace alinea
