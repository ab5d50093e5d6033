// Keys and values (and, where given, rarities) of everything seen so far, in buffers of a fixed capacity: the decoding state of every family
// that looks back at single columns. Hypotheses that branch share their past: reordering moves a table of small numbers, no keys or values.
#pragma once
#include "nn/attention/attention.h"

namespace alinea {

class KeyValueCache final : public AttentionState {
 public:
  KeyValueCache(Context& context, const DecodeStart& start) : context_(context), start_(start) {}

  void append(const Columns& columns) override;
  void undo() override { used_ -= last_, last_ = 0; }
  void reorder(std::span<const int32_t> items) override;
  int64_t bytes() const override { return k_ ? k_.bytes() + v_.bytes() : 0; }
  int64_t used() const { return used_; }
  /// softmax(q kᵀ / √D) v over the columns appended, or over the last `window` real ones of each item (0: all): q [R,H,T,D] -> [R,H,T,D].
  Tensor attend(const Tensor& q, int64_t window = 0) const;
  /// Everything appended, as the input of a causal pass whose row 0 is position first_row.
  AttentionInput causal_input(const Tensor& q, int64_t first_row);

 private:
  void settle();
  int64_t real(int64_t item) const { return start_.lengths.empty() ? used_ : std::min<int64_t>(start_.lengths[size_t(item)], used_); }
  Context& context_;
  DecodeStart start_;
  int64_t used_ = 0, last_ = 0;
  Tensor k_, v_, rarity_;                                   // [B,H,capacity,D], [B,capacity]; made at the first append
  std::vector<int32_t> source_;                             // [items, capacity]: the buffer row that holds a column; empty: each item's own
};

}  // namespace alinea
