// A pattern of structured attention as lists of numbers that GPU code reads: from rows to their keys, and from keys to the rows that see them.
#pragma once
#include "engine/ops/structured_core.h"

namespace alinea::cuda {

/// Lists by row or by key: the numbers of n are values[begin[n]] … values[begin[n + 1] - 1].
struct ListView {
  const int32_t *begin = nullptr, *values = nullptr;
};

/// What one head's pattern is besides lists.
struct HeadRule {
  int64_t half_width, extent;                               // extent: -1 for all rows
  bool columns;
};

/// Rows are those of the tensor (T), keys its columns (S), patterns one or one per head.
struct StructuredView {
  int64_t B, H, T, S, first_row, patterns, widest;
  const int32_t *half_width, *extent, *reads_columns;       // [patterns]
  const int32_t *near_begin, *near_end;                     // [patterns, T]: band and block before visibility; everything for a global row
  const int32_t *row_begin, *row_end;                       // [patterns, S]: no row outside sees the key in its band or block
  ListView globals;                                         // [patterns]: global rows
  const int32_t* run_of_row;                                // [B, T], or -1; none without columns
  ListView runs, runs_of_key;                               // run -> its columns; [B, S] -> runs that hold the key
  const int32_t *run_first, *run_last;                      // rows of a run
  ListView random, random_rows;                             // [B, H, T] -> random keys; [B, H, S] -> rows that drew the key
  ListView entries, entries_of_key;                         // [H, T] -> residual entries; [H, S] -> the same
  const int32_t *entry_row, *entry_key;                     // [H, n]: row and key of the tensor, or -1 outside it
  int64_t entry_count;                                      // n

  constexpr int64_t pattern(int64_t head) const { return patterns == 1 ? 0 : head; }
};

/// The lists of one call on its GPU.
class StructuredLists {
 public:
  StructuredLists(const StructuredCall& call, Context& context);
  const StructuredView& view() const { return view_; }

 private:
  void add_heads(const StructuredPattern& pattern);
  void add_columns(const StructuredPattern& pattern);
  void add_random(const StructuredPattern& pattern);
  void add_entries(const StructuredCall& call);
  // Where the numbers will be: a pointer is set when all lists are known and lie on the GPU.
  void put(const int32_t*& where, const std::vector<int32_t>& numbers);
  void put(ListView& where, const std::vector<std::vector<int32_t>>& lists);

  StructuredView view_{};
  std::vector<int32_t> numbers_;
  std::vector<std::pair<const int32_t**, size_t>> places_;
  Tensor memory_;
};

}  // namespace alinea::cuda
