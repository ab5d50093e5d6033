// Keys and values of everything seen so far, in buffers of a fixed capacity: the decoding state of the softmax families.
#pragma once
#include "nn/attention/attention.h"

namespace alinea {

class KeyValueCache final : public AttentionState {
 public:
  KeyValueCache(Context& context, const DecodeStart& start) : context_(context), start_(start) {}

  void append(const Columns& columns) override;
  void undo() override { used_ -= last_, last_ = 0; }
  void reorder(std::span<const int32_t> beams) override;
  int64_t bytes() const override { return k_ ? k_.bytes() + v_.bytes() : 0; }
  int64_t used() const { return used_; }
  /// softmax(q kᵀ / √D) v over the columns appended, or over the last `window` real ones of each item (0: all): q [B,H,T,D] -> [B,H,T,D].
  Tensor attend(const Tensor& q, int64_t window = 0) const;

 private:
  int32_t real(int64_t item) const { return int32_t(start_.lengths.empty() ? used_ : std::min<int64_t>(start_.lengths[size_t(item)], used_)); }
  Context& context_;
  DecodeStart start_;
  int64_t used_ = 0, last_ = 0;
  Tensor k_, v_;                                            // [B,H,capacity,D], made at the first append
};

}  // namespace alinea
