// Convolution over time whose groups have few channels, as the one that gives wav2vec 2.0 its positions: too narrow for a BLAS product, whose
// packing would cost more than the product. Formula and gradients: conv1d.h. The windows stay where they are, as overlapping rows, and meet weights that lie in the cache.
#pragma once
#include <cstdint>

namespace alinea {

/// Sizes. Sources are padded copies [groups, B, length, in]; windows of `taps` rows start every `stride` rows, `rows` of them in an item.
struct NarrowConv {
  int64_t B, groups, length, in, out, taps, stride, rows;

  /// Whether all sizes suit it: outputs of a group fill whole vectors and fit into one panel of registers, an item has four windows or more.
  template <class T>
  bool fits() const;
  /// weight [groups · out, in, taps] -> [groups, taps, in, out]. Flipped: weight [groups · in, out, taps], taken from the last tap to the first, as
  /// the gradient of the input is a convolution of the output's.
  template <class T>
  void pack_weights(const T* weight, bool flipped, T* packed) const;
  /// h [B, rows, groups · out] = windows · packed weights.
  template <class T>
  void forward(const T* source, const T* packed, T* h) const;
  /// dw [groups · out, taps, in] = Σ g[b, t, o] window[b, t].  g [B, rows, groups · out]
  template <class T>
  void weight_gradient(const T* source, const T* g, T* dw) const;
};

}  // namespace alinea
