// Tape wrapper of masked frames and channels.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/mask_frames.h"

namespace alinea {

/// x [B, T, C] with frames replaced by fill [C] or zero, and channels set to zero; masks that are none change nothing.
inline Variable mask_frames(const Variable& x, const Variable& fill, const Tensor& frames, const Tensor& channels = {}) {
  return frames || channels ? Tape::apply(MaskFrames{}, "mask_frames", x, fill, frames, channels) : x;
}

}  // namespace alinea
