// Keys and values of everything seen so far, in buffers of a fixed capacity: the decoding state of the softmax families.
#pragma once
#include "nn/attention/attention.h"

namespace alinea {

class KeyValueCache final : public AttentionState {
 public:
  KeyValueCache(Context& context, int64_t batch, int64_t capacity, std::vector<int32_t> lengths)
      : context_(context), batch_(batch), capacity_(capacity), lengths_(std::move(lengths)) {}

  void append(const Tensor& k, const Tensor& v) override;
  void undo() override { used_ -= last_, last_ = 0; }
  void reorder(std::span<const int32_t> beams) override;
  int64_t bytes() const override { return k_ ? k_.bytes() + v_.bytes() : 0; }
  int64_t used() const { return used_; }
  /// softmax(q kᵀ / √D) v over all columns appended: q [B,H,T,D] -> [B,H,T,D].
  Tensor attend(const Tensor& q) const;

 private:
  Context& context_;
  int64_t batch_, capacity_, used_ = 0, last_ = 0;
  std::vector<int32_t> lengths_;                            // real columns per item; empty: all
  Tensor k_, v_;                                            // [B,H,capacity,D], made at the first append
};

}  // namespace alinea
