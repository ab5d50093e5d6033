// The options that structured and literal attention share: which keys each head's rows read.
#pragma once
#include "engine/ops/structured_pattern.h"
#include "nn/attention/attention.h"

namespace alinea {

struct PatternOptions {
  JsonText window{"8"};
  int64_t columns = 0, column_extent = -1, random_keys = 0;
  bool once_per_token = false;
  std::vector<int64_t> global_rows, blocks;
  void fields(Config& c);

  /// One pattern per head, without mask and columns. `family` names the caller in errors.
  std::vector<HeadPattern> heads(std::string_view family, int64_t count) const;
  /// The pattern of a whole pass: columns are the rarest of in.rarity, for causal rows the rarest so far.
  StructuredPattern pattern(std::string_view family, const AttentionInput& in, const AttentionRole& role) const;
  double pairs_per_row(const AttentionRole& role) const;     // at most
};

/// A parameter as an input of an op that works in `dtype` (checks run in double).
Variable parameter_input(Tape* tape, Parameter& p, DType dtype);

/// The decoding state: keys, values and rarities of everything seen; a step reads only what its row's pattern names.
class PatternCache final : public AttentionState {
 public:
  PatternCache(Context& context, const DecodeStart& start) : context_(context), start_(start) {}
  void append(const Columns& columns) override;
  void undo() override { used_ -= last_, last_ = 0; }
  void reorder(std::span<const int32_t> beams) override;
  int64_t bytes() const override { return k_ ? k_.bytes() + v_.bytes() : 0; }
  /// Everything appended, as the input of a pass whose row 0 is position first_row.
  AttentionInput input(const Tensor& q, int64_t first_row) const;

 private:
  Context& context_;
  DecodeStart start_;
  int64_t used_ = 0, last_ = 0;
  Tensor k_, v_, rarity_;                                    // [B,H,capacity,D], [B,capacity]
};

}  // namespace alinea
