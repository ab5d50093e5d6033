// Which keys a row of structured attention reads: a band, a diagonal block, a few columns and random keys, different for each head.
// A plain value, not a tensor: its indices have no gradient.
//
//   band w = 1, columns {0, 5}    causal       blocks {2, 4}, w = 0    global row 1, w = 0
//   ##...#                        #.....       ##....                  #.....
//   ###..#                        ##....       ##....                  ######
//   ####.#                        ###...       ..####                  ..#...
//   #.####                        #.##..       ..####                  ...#..
//   #..###                        #..##.       ..####                  ....#.
//   #...##                        #...##       ..####                  .....#
#pragma once
#include <span>
#include <vector>

#include "engine/core/mask.h"
#include "engine/core/random.h"

namespace alinea {

/// From row `first_row` (a position in the sequence) to the next run: these columns, ascending and distinct.
struct ColumnRun {
  int64_t first_row = 0;
  std::vector<int32_t> columns;
  bool operator==(const ColumnRun&) const = default;
};
/// Columns of one item: row i uses the last run that begins at or before i, and none before the first run.
using ColumnRuns = std::vector<ColumnRun>;

/// The pattern of one head. Positions count from the start of the sequence.
struct HeadPattern {
  int64_t half_width = 0;                                    // w: row i reads |i − j| ≤ w; the diagonal is always there
  bool columns = true;                                       // whether this head reads the item's columns
  int64_t column_extent = -1;                                // column c only for rows |i − c| ≤ extent; −1: for all rows
  std::vector<int64_t> global_rows;                          // rows that read everything; ascending
  std::vector<int64_t> block_ends;                           // diagonal blocks 0 … e₀−1, e₀ … e₁−1, …; a row reads its own block
  int64_t random_keys = 0;                                   // draws per row, a function of (key, head, row, keys that the row may see)
};

/// Blocks of these lengths from position 0 on, as block_ends.
std::vector<int64_t> ends_of(std::span<const int64_t> lengths);

/// S_i = (band ∪ block ∪ columns ∪ random keys) ∩ {j < visible(i)}, a set: a column inside the band counts once. A global row has all j < visible(i).
/// Queries and keys are positions of one sequence: row i of the tensor is position first_row + i, and the band lies around the key of that position,
/// also when T ≠ S (decoding: T = 1, first_row = t). Between two different sequences the diagonal means nothing; use another family there.
/// Masks: `all` and `causal`, with lengths. Of the others, which are made for two sequences, the diagonal may be invisible: they are refused.
/// Columns that were chosen from the whole sequence tell a causal row about its future, though it never reads them early: choose them with
/// `prefix_columns`.
struct StructuredPattern {
  /// Columns begin … end-1; begin ≤ end.
  struct Interval {
    int64_t begin = 0, end = 0;
    int64_t size() const { return end - begin; }
    bool holds(int64_t j) const { return j >= begin && j < end; }
  };

  std::vector<HeadPattern> heads{HeadPattern{}};             // one for all heads, or one each
  std::vector<ColumnRuns> columns;                           // per item; empty: no columns
  Mask mask;
  RandomKey key;                                             // of the random keys

  const HeadPattern& head(int64_t h) const { return heads[heads.size() == 1 ? 0 : size_t(h)]; }
  /// The widest w: band biases have 2 w + 1 entries.
  int64_t widest() const;
  bool is_global(int64_t head, int64_t row) const;
  /// Band and block around a row's position, before anything is cut off.
  Interval around(int64_t head, int64_t row) const;
  /// What a row sees of them: one interval, since both hold the diagonal; everything for a global row. Logarithmic in blocks and global rows.
  Interval near(int64_t item, int64_t head, int64_t row, int64_t S) const;
  /// The columns of a row's run, before visibility and extent; nothing for heads without columns.
  std::span<const int32_t> run(int64_t item, int64_t head, int64_t row) const;
  /// Whether a column of the run counts: seen, within its extent and outside `near`.
  bool reads_column(int64_t item, int64_t head, int64_t row, int64_t column, Interval near, int64_t S) const;
  /// The random keys of a row that are in neither `near` nor its columns; replaces `keys`, ascending and distinct.
  void random_keys(int64_t item, int64_t head, int64_t row, Interval near, int64_t S, std::vector<int32_t>& keys) const;
  /// S_i, ascending: for analysis and tests.
  std::vector<int32_t> keys(int64_t item, int64_t head, int64_t row, int64_t S) const;

  /// Σ_i |S_i| of one head, in O(T (r + random keys)).
  int64_t pairs(int64_t item, int64_t head, int64_t T, int64_t S) const;
  /// The same for a band alone, n positions, no mask: n (2w + 1) − w (w + 1) with w ≤ n − 1. Causal: (n − w)(w + 1) + w (w + 1)/2.
  static int64_t band_pairs(int64_t n, int64_t w, bool causal = false);

  void check(std::string_view op, int64_t B, int64_t H, int64_t T, int64_t S) const;
};

/// Runs that hold for every row: from [B, r] indices, of which negative ones are left out and repeated ones count once.
std::vector<ColumnRuns> fixed_columns(std::span<const int64_t> columns, int64_t B);

/// How columns are chosen: the r rarest positions, e.g. by inverse document frequency. A rarity of −∞ (padding, special tokens) is never chosen;
/// ties go to the lower position. With `tokens`, each token counts only where it stands first.
/// The whole sequence of n = rarity.size() positions, the same columns for all rows:
ColumnRuns top_columns(std::span<const double> rarity, int64_t r, std::span<const int64_t> tokens = {});
/// Row i has the r rarest of positions 0 … i, so nothing depends on the future. O(n log r) and one run for each change (some r log(n / r) for
/// rarities in random order). The last run equals top_columns.
ColumnRuns prefix_columns(std::span<const double> rarity, int64_t r, std::span<const int64_t> tokens = {});

/// One of the two for each item of rarity [B, S]; lengths: how many positions of an item are real (empty: all). tokens: [B, S] or none.
std::vector<ColumnRuns> rare_columns(std::span<const double> rarity, int64_t B, const std::vector<int32_t>& lengths, int64_t r, bool causal,
                                     std::span<const int64_t> tokens = {});

}  // namespace alinea
