// The largest entries of rows, and how much the whole row weighs.
#pragma once
#include <vector>

#include "engine/core/tensor.h"

namespace alinea {

/// The k largest of each row of x [R, C], best first, of equals the earlier column; with log_sum also log Σ_c exp x_c. x is read once, rows and
/// parts of rows are shared among threads. −inf and NaN are never among the largest; a row with fewer other entries fills up with column −1.
struct TopK {
  int64_t k = 1;
  bool log_sum = false;
  struct Entry {
    double value;
    int32_t column;
  };
  struct Result {
    std::vector<Entry> entries;                             // [R, k]
    std::vector<double> log_sums;                           // [R], where asked for
  };
  Result forward(const Tensor& x) const;
};

}  // namespace alinea
