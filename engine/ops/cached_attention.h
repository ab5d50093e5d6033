// Softmax attention of new rows on a decoder's cache of keys and values, whose columns need not lie together.
#pragma once
#include <vector>

#include "engine/core/tensor.h"

namespace alinea {

/// y_r = softmax(q_r kᵀ / √D) v over the columns begin[n] … end[n] - 1 of the history n that row r continues.   No gradient.
///   q [R, H, T, D]  k, v [I, H, C, D], last axis 1  ->  y [R, H, T, D], memory [R, T, H, D]
/// There are N = end.size() histories and R is a multiple of N: the rows of one history follow one another (beams that share one source).
/// Column j of history n lies in item source[n · columns + j] of k and v, so that histories may branch and share columns without any
/// copy; empty: in item n.
struct CachedAttention {
  std::vector<int64_t> begin, end;                          // per history
  std::vector<int32_t> source;                              // [N, columns]
  int64_t columns = 0;
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v) const;
};

}  // namespace alinea
