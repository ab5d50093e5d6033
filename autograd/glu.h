// Tape wrapper of the gated linear unit.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/glu.h"

namespace alinea {

inline Variable glu(const Variable& x, int axis = -1) { return Tape::apply(Glu{axis}, "glu", x); }

}  // namespace alinea
