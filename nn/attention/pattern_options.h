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

}  // namespace alinea
