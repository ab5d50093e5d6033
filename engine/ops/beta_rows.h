// What the ops share that turn an alignment α into attention weights β: checks, sizes, and α put on the source axis.
#pragma once
#include <algorithm>
#include <string_view>
#include <vector>

#include "engine/core/tensor.h"

namespace alinea {

/// One length per item or none, each 1 … most.
void check_lengths(std::string_view op, std::string_view side, const std::vector<int32_t>& lengths, int64_t B, int64_t most);
inline int64_t length_of(const std::vector<int32_t>& lengths, int64_t item, int64_t all) { return lengths.empty() ? all : lengths[size_t(item)]; }

/// Sizes of alpha [B, heads, T, C] and u [B, H, T, S], heads = H or 1, C = ceil(S / ratio).
struct BetaSizes {
  int64_t B, H, T, S, heads, C, ratio;
  const std::vector<int32_t>& lengths;
  BetaSizes(std::string_view op, const Tensor& alpha, const Tensor& u, const std::vector<int32_t>& lengths, int64_t ratio);

  int64_t length(int64_t item) const { return length_of(lengths, item, S); }
  /// Pooled columns of an item, and the source column where pooled column c ends.
  int64_t pooled(int64_t item) const { return (length(item) + ratio - 1) / ratio; }
  int64_t end_of(int64_t c, int64_t n) const { return std::min(ratio * (c + 1), n) - 1; }
  /// First element of a row of alpha or u; `row` counts [B, T].
  int64_t alpha_at(int64_t row, int64_t h) const { return (((row / T) * heads + (heads == 1 ? 0 : h)) * T + row % T) * C; }
  int64_t u_at(int64_t row, int64_t h) const { return (((row / T) * H + h) * T + row % T) * S; }
  /// Rows [B, T] per piece of parallel work.
  int64_t grain() const { return std::max<int64_t>(1, 8192 / std::max<int64_t>(1, H * S)); }

  /// A row of α on the source axis: itself without pooling, else `wide` (S elements) with each value at the end of its window.
  template <class V>
  const V* spread(const V* alpha, int64_t item, V* wide) const {
    if (ratio == 1) return alpha;
    const int64_t n = length(item), m = pooled(item);
    std::fill(wide, wide + n, V(0));
    for (int64_t c = 0; c < m; ++c) wide[end_of(c, n)] = alpha[c];
    return wide;
  }
  /// The gradient on the source axis back to α's row: set, or added when `add` (the heads after the first that share α).
  template <class V>
  void gather(const V* wide, int64_t item, V* d_alpha, bool add) const {
    const int64_t n = length(item), m = pooled(item);
    for (int64_t c = 0; c < m; ++c) d_alpha[c] = wide[ratio == 1 ? c : end_of(c, n)] + (add ? d_alpha[c] : V(0));
    for (int64_t c = m; c < C; ++c) d_alpha[c] = 0;
  }
};

}  // namespace alinea
