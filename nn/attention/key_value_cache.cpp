#include "nn/attention/key_value_cache.h"

#include "engine/ops/heads.h"
#include "engine/ops/softmax_attention.h"

namespace alinea {

void KeyValueCache::append(const Columns& c) {
  const int64_t n = c.k.size(2), capacity = start_.capacity;
  require(c.k.size(0) == start_.batch && used_ + n <= capacity, "key-value cache: {} columns of {} items do not fit; room for {} of {} items, {} are used", n,
          c.k.size(0), capacity, start_.batch, used_);
  if (!k_) {
    k_ = context_.empty({start_.batch, c.k.size(1), capacity, c.k.size(3)}, c.k.dtype());
    v_ = context_.empty({start_.batch, c.v.size(1), capacity, c.v.size(3)}, c.v.dtype());
    if (c.rarity) rarity_ = context_.empty({start_.batch, capacity}, c.rarity.dtype());
  }
  require(bool(rarity_) == bool(c.rarity), "key-value cache: rarity is given for some columns and not for others");
  k_.slice(2, used_, used_ + n).copy_from(c.k);
  v_.slice(2, used_, used_ + n).copy_from(c.v);
  if (c.rarity) rarity_.slice(1, used_, used_ + n).copy_from(c.rarity);
  used_ += n;
  last_ = n;
}

void KeyValueCache::reorder(std::span<const int32_t> beams) {
  if (!k_) return;
  for (Tensor* t : {&k_, &v_, &rarity_}) {
    if (!*t) continue;
    const int axis = t->rank() == 4 ? 2 : 1;
    const Tensor old = t->slice(axis, 0, used_).clone();
    for (int64_t b = 0; b < int64_t(beams.size()); ++b)
      if (beams[size_t(b)] != b) t->slice(0, b, b + 1).slice(axis, 0, used_).copy_from(old.slice(0, beams[size_t(b)], beams[size_t(b)] + 1));
  }
}

Mask KeyValueCache::mask_of_lengths() const {
  Mask mask;
  if (!start_.lengths.empty())
    for (int64_t b = 0; b < start_.batch; ++b) mask.source_lengths.push_back(real(b));
  return mask;
}

AttentionInput KeyValueCache::causal_input(const Tensor& q, int64_t first_row) const {
  require(used_ > 0, "attention: a step before anything was appended");
  AttentionInput in{.q = q, .k = k_.slice(2, 0, used_), .v = v_.slice(2, 0, used_), .mask = mask_of_lengths()};
  in.mask.rule = Mask::Rule::causal, in.mask.first_row = first_row;
  if (rarity_) in.rarity = rarity_.slice(1, 0, used_).compact();
  return in;
}

Tensor KeyValueCache::attend(const Tensor& q, int64_t window) const {
  require(used_ > 0, "attention: a step before anything was appended");
  if (window == 0) return SoftmaxAttention{.mask = mask_of_lengths()}.forward(q, k_.slice(2, 0, used_), v_.slice(2, 0, used_), nullptr);
  const Tensor y = empty_heads(q);
  for (int64_t b = 0; b < start_.batch; ++b) {
    const int64_t end = real(b), begin = std::max<int64_t>(0, end - window);
    const auto item = [&](const Tensor& t) { return t.slice(0, b, b + 1).slice(2, begin, end); };
    y.slice(0, b, b + 1).copy_from(SoftmaxAttention{}.forward(q.slice(0, b, b + 1), item(k_), item(v_), nullptr));
  }
  return y;
}

}  // namespace alinea
