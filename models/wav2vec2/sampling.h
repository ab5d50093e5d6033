// The random choices of wav2vec 2.0's training, each a pure function of a key: spans that are masked, negatives that a masked frame is told
// apart from, the noise of the quantizer. Masks and negatives are drawn in host memory, from where ops take them to their device.
#pragma once
#include <vector>

#include "engine/core/random.h"
#include "engine/core/tensor.h"

namespace alinea {

/// How much of a row is masked: n = max(min_spans, ⌊probability · size / length + u⌋) spans of `length`, u from [0, 1) once per call, at
/// most as many as fit side by side into the columns, and as there are starts. Starts are distinct, spans may overlap.
struct SpanMask {
  double probability = 0.65;
  int64_t length = 10, min_spans = 2;
  /// u8 [rows, columns], 1 where masked, inside the first sizes[row] columns of each row (empty: all). A row shorter than a span has none.
  /// Park et al. 2019, section 2; the rule is that of Hugging Face's wav2vec2.
  Tensor draw(int64_t rows, int64_t columns, const std::vector<int32_t>& sizes, RandomKey key) const;
};

/// i64 [B, T, K]: for every masked frame K other masked frames of the same row, uniformly and with replacement, as b · T + t; itself where it
/// is the only one, which the contrastive loss counts as no negative. 0 where `mask` u8 [B, T] is 0. Baevski et al. 2020, section 3.2.
Tensor sample_negatives(const Tensor& mask, int64_t negatives, RandomKey key);

/// −ln(−ln U), U uniform in (0, 1): the argmax of logits plus this noise is a draw from their softmax. Element e comes from number e % 4 of
/// key.block(e / 4). f32.
Tensor gumbel_noise(Context& context, const Shape& shape, RandomKey key);

}  // namespace alinea
