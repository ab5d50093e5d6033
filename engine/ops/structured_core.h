// The tile loops that structured_attention and literal_attention share: a pattern, scores from q·k or from learned biases alone.
#pragma once
#include "engine/ops/op.h"
#include "engine/ops/structured_pattern.h"

namespace alinea {

/// One entry of the sparse residual: value [head, index] is added to the weight of (row, column), both positions.
struct ResidualEntry {
  int64_t row, column, index;
};

struct StructuredCall {
  const StructuredPattern& pattern;
  int64_t rows;                                              // T
  double scale, dropout;
  RandomKey key;                                             // of dropout
  Tensor q, k, v;                                            // q and k none: the scores are the biases
  Tensor band, column;                                       // [H, 2 w + 1] of the widest w, [H]; or none
  Tensor residual;                                           // [H, n] or none
  std::vector<std::vector<ResidualEntry>> entries;           // per head, by ascending row
};

/// log_sum [B, H, T] may be none.
void structured_forward(const StructuredCall& call, const Tensor& y, const Tensor& log_sum);

/// Gradients of what is wanted; the others are none.
struct StructuredGradients {
  Tensor q, k, v, band, column, residual;
};
struct StructuredWants {
  bool q, k, v, band, column, residual;
};
StructuredGradients structured_backward(const StructuredCall& call, const Tensor& y, const Tensor& log_sum, const Tensor& g, const StructuredWants& wants);

/// P + E [B, H, T, S], quadratic: for plots and analysis.
Tensor structured_weights(const StructuredCall& call);

}  // namespace alinea
