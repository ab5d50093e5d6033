// A trainable tensor and its gradient beside it. Parameters of a model are slices of one flat buffer (nn/module.h).
#pragma once
#include "engine/core/tensor.h"

namespace alinea {

struct Parameter {
  Tensor value, grad;                                       // grad: same shape, zeroed before each step
  bool trainable = true;
  bool fixed = false;                                       // never trained: saved and loaded with the model (random features)
};

}  // namespace alinea
