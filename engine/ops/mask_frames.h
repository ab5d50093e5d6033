// Frames and channels of a sequence that are replaced: SpecAugment's masks on hidden states, and padding set to zero.
#pragma once
#include "engine/ops/op.h"

namespace alinea {

/// y[b, t, c] = 0 where channels[b, c] or frames[b, t] = zero;   fill[c] where frames[b, t] = fill;   x[b, t, c] elsewhere
///   dx = g where y is x, 0 elsewhere;   dfill[c] = Σ g[b, t, c] where y is fill
/// x [B, T, C]  fill [C] or none  frames u8 [B, T] or none  channels u8 [B, C] or none  ->  y [B, T, C]
/// Park et al., "SpecAugment" (2019), section 2; Baevski et al., "wav2vec 2.0" (2020), section 3.1. Contiguous. Keeps the masks.
struct MaskFrames {
  static constexpr uint8_t keep = 0, fill = 1, zero = 2;    // what becomes of a frame
  struct Saved {
    Tensor frames, channels;
  };
  Tensor forward(const Tensor& x, const Tensor& fill, const Tensor& frames, const Tensor& channels, Saved* kept) const;
  Grads<4> backward(Saved&& kept, Tensor&& g, const Needs<4>& need) const;
};

}  // namespace alinea
