#include "nn/attention/key_value_cache.h"

#include "engine/ops/cached_attention.h"

namespace alinea {

void KeyValueCache::append(const Columns& c) {
  const int64_t n = c.k.size(2), capacity = start_.capacity, items = start_.batch;
  require(c.k.size(0) == items && used_ + n <= capacity, "key-value cache: {} columns of {} items do not fit; room for {} of {} items, {} are used", n, c.k.size(0), capacity,
          items, used_);
  if (!k_) {
    k_ = context_.empty({items, c.k.size(1), capacity, c.k.size(3)}, c.k.dtype());
    v_ = context_.empty({items, c.v.size(1), capacity, c.v.size(3)}, c.v.dtype());
    if (c.rarity) rarity_ = context_.empty({items, capacity}, c.rarity.dtype());
  }
  require(bool(rarity_) == bool(c.rarity), "key-value cache: rarity is given for some columns and not for others");
  k_.slice(0, 0, items).slice(2, used_, used_ + n).copy_from(c.k);
  v_.slice(0, 0, items).slice(2, used_, used_ + n).copy_from(c.v);
  if (c.rarity) rarity_.slice(0, 0, items).slice(1, used_, used_ + n).copy_from(c.rarity);
  for (int64_t i = 0; i < int64_t(source_.size()); i += capacity)   // new columns are in each item's own row, which no history uses yet there
    std::fill_n(source_.begin() + i + used_, n, int32_t(i / capacity));
  used_ += n;
  last_ = n;
}

void KeyValueCache::reorder(std::span<const int32_t> items) {
  const int64_t capacity = start_.capacity;
  if (k_) {
    std::vector<int32_t> next(items.size() * size_t(capacity));
    for (size_t i = 0; i < items.size(); ++i) {
      const auto to = next.begin() + int64_t(i) * capacity;
      if (source_.empty()) std::fill_n(to, used_, items[i]);
      else std::copy_n(source_.begin() + items[i] * capacity, used_, to);
    }
    source_ = std::move(next);
  }
  start_.select(items);
}

// Copies the columns that lie elsewhere to their items' own rows.
void KeyValueCache::settle() {
  const int64_t capacity = start_.capacity, items = start_.batch;
  for (Tensor* t : {&k_, &v_, &rarity_}) {
    if (source_.empty() || !*t) continue;
    const int axis = t->rank() == 4 ? 2 : 1;
    const Tensor old = t->slice(axis, 0, used_).clone();
    const auto columns = [&](const Tensor& x, int64_t item, int64_t begin, int64_t end) { return x.slice(0, item, item + 1).slice(axis, begin, end); };
    for (int64_t i = 0; i < items; ++i)
      for (int64_t j = 0, end = 0; j < used_; j = end) {    // runs of columns in one row
        const int32_t row = source_[size_t(i * capacity + j)];
        while (end < used_ && source_[size_t(i * capacity + end)] == row) ++end;
        if (row != i) columns(*t, i, j, end).copy_from(columns(old, row, j, end));
      }
    *t = t->slice(0, 0, items);
  }
  source_.clear();
}

AttentionInput KeyValueCache::causal_input(const Tensor& q, int64_t first_row) {
  require(used_ > 0, "attention: a step before anything was appended");
  settle();
  AttentionInput in{.q = q, .k = k_.slice(2, 0, used_), .v = v_.slice(2, 0, used_), .mask = Mask::causal(first_row)};
  for (int64_t b = 0; b < start_.batch && !start_.lengths.empty(); ++b) in.mask.source_lengths.push_back(int32_t(real(b)));
  if (rarity_) in.rarity = rarity_.slice(1, 0, used_).compact();
  return in;
}

Tensor KeyValueCache::attend(const Tensor& q, int64_t window) const {
  require(used_ > 0, "attention: a step before anything was appended");
  CachedAttention op{.begin = {}, .end = {}, .source = source_, .columns = start_.capacity};
  for (int64_t b = 0; b < start_.batch; ++b) {
    op.end.push_back(real(b));
    op.begin.push_back(window > 0 ? std::max<int64_t>(0, real(b) - window) : 0);
  }
  return op.forward(q, k_, v_);
}

}  // namespace alinea
