// From labels to what the decoder reads: each token predicts the next.
#pragma once
#include "engine/core/tensor.h"

namespace alinea {

/// labels i64 [B,T] -> start, label 0 … label T-2; where a label is -100 (nothing to learn) the decoder reads `pad`.
Tensor shift_right(const Tensor& labels, int64_t start, int64_t pad);

/// mBART's rule: the last token of each row that is not `pad` or -100, the language code, moves to the front, and the others follow.
Tensor rotate_right(const Tensor& labels, int64_t pad);

}  // namespace alinea
