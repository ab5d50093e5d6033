// The attributes of a structured pattern, for the rows that take one.
#pragma once
#include "autograd/op_table.h"
#include "engine/ops/structured_pattern.h"

namespace alinea {

/// Pattern of a call with the attributes of pattern_attributes(), the mask `causal` and `first_row`, and, where the row has them, the inputs
/// source_lengths, target_lengths and columns i64 [B, r] (negative: none).
StructuredPattern pattern_of(const OpCall& call, int64_t heads);
/// window, column_extent, global_rows, blocks, random_keys, seed.
std::vector<OpAttribute> pattern_attributes();

}  // namespace alinea
