#include "nn/attention/key_value_cache.h"

#include "engine/ops/softmax_attention.h"

namespace alinea {

void KeyValueCache::append(const Tensor& k, const Tensor& v) {
  const int64_t n = k.size(2);
  require(k.size(0) == batch_ && used_ + n <= capacity_, "key-value cache: {} columns of {} items do not fit; room for {} of {} items, {} are used", n,
          k.size(0), capacity_, batch_, used_);
  if (!k_) {
    k_ = context_.empty({batch_, k.size(1), capacity_, k.size(3)}, k.dtype());
    v_ = context_.empty({batch_, v.size(1), capacity_, v.size(3)}, v.dtype());
  }
  k_.slice(2, used_, used_ + n).copy_from(k);
  v_.slice(2, used_, used_ + n).copy_from(v);
  used_ += n;
  last_ = n;
}

void KeyValueCache::reorder(std::span<const int32_t> beams) {
  if (!k_) return;
  for (Tensor* t : {&k_, &v_}) {
    const Tensor old = t->slice(2, 0, used_).clone();
    for (int64_t b = 0; b < int64_t(beams.size()); ++b)
      if (beams[size_t(b)] != b) t->slice(0, b, b + 1).slice(2, 0, used_).copy_from(old.slice(0, beams[size_t(b)], beams[size_t(b)] + 1));
  }
}

Tensor KeyValueCache::attend(const Tensor& q) const {
  require(used_ > 0, "attention: a step before anything was appended");
  Mask mask;
  for (const int32_t n : lengths_) mask.source_lengths.push_back(int32_t(std::min<int64_t>(n, used_)));
  return SoftmaxAttention{.mask = mask}.forward(q, k_.slice(2, 0, used_), v_.slice(2, 0, used_), nullptr);
}

}  // namespace alinea
