#include "engine/ops/structured_walk.h"

#include "engine/ops/structured_tile.h"

namespace alinea {

StructuredWalk::StructuredWalk(const StructuredPattern& pattern, int64_t item, int64_t head, int64_t S, int64_t begin, int64_t end)
    : pattern_(pattern), item_(item), head_(head), S_(S), stop_(end), tile_(tile_rows(pattern.head(head))), at_(begin) {
  for (const int64_t position : pattern.head(head).global_rows) {
    const int64_t i = position - pattern.mask.first_row;
    if (i >= begin && i < end) globals_.push_back(i);
  }
}

bool StructuredWalk::next() {
  rows = 0;
  for (; at_ < stop_ && rows < tile_; ++at_)
    if (globals_.empty() || !pattern_.is_global(head_, at_)) row[rows++] = at_;
  const bool global = rows == 0;
  if (global)
    for (; next_global_ < globals_.size() && rows < tile_; ++next_global_) row[rows++] = globals_[next_global_];
  if (rows == 0) return false;
  first = S_, last = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const auto v = pattern_.near(item_, head_, row[r], S_);
    begin[r] = v.begin, end[r] = v.end, visible[r] = pattern_.mask.visible(item_, row[r], S_);
    if (v.size() > 0) first = std::min(first, v.begin), last = std::max(last, v.end);
  }
  if (first >= last) first = last = 0;
  std::swap(far, before_);
  far.clear();
  if (!global) gather();
  far_changed = far != before_;
  return true;
}

// The union of the rows' columns. Most tiles lie inside one run.
void StructuredWalk::gather() {
  std::span<const int32_t> one;
  single_run_ = true;
  for (int64_t r = 0; r < rows; ++r) {
    const auto own = pattern_.run(item_, head_, row[r]);
    if (r > 0 && own.data() == one.data()) continue;
    single_run_ = r == 0;
    far.insert(far.end(), own.begin(), own.end());
    one = own;
  }
  if (single_run_) return;
  std::sort(far.begin(), far.end());
  far.erase(std::unique(far.begin(), far.end()), far.end());
}

template <class T>
void StructuredWalk::fill_seen(T* seen, int64_t ld) const {
  const auto n = int64_t(far.size());
  const int64_t extent = pattern_.head(head_).column_extent < 0 ? INT32_MAX : pattern_.head(head_).column_extent;
  int64_t positions[most];
  for (int64_t r = 0; r < rows; ++r) positions[r] = position(r);
  mark_seen(FarColumns{rows, n, ld, extent, far.data(), begin, end, visible, positions}, seen);
  if (single_run_) return;
  for (int64_t r = 0; r < rows; ++r) {
    const auto own = pattern_.run(item_, head_, row[r]);
    for (int64_t c = 0; c < n; ++c)
      if (!std::binary_search(own.begin(), own.end(), far[size_t(c)])) seen[r * ld + c] = 0;
  }
}
template void StructuredWalk::fill_seen(float*, int64_t) const;
template void StructuredWalk::fill_seen(double*, int64_t) const;

int64_t StructuredWalk::longest_slab(const HeadPattern& p) {
  int64_t block = 0, begin = 0;
  for (const int64_t end : p.block_ends) block = std::max(block, end - begin), begin = end;
  return 2 * p.half_width + 2 * block + most;
}

StructuredPattern::Interval StructuredWalk::reach(const StructuredPattern& pattern, int64_t head, int64_t S, int64_t begin, int64_t end) {
  if (!pattern.head(head).global_rows.empty()) return {0, S};
  const int64_t low = std::clamp<int64_t>(pattern.around(head, begin).begin, 0, S);
  return {low, std::clamp<int64_t>(pattern.around(head, end - 1).end, low, S)};
}

}  // namespace alinea
